// Runs in a thread, or not: it is a task function like any other.
import jpeg from 'jpeg-js'

/**
 * Makes a picture smaller: every pixel of the result is the mean of those that it stands for.
 *
 * @this {import('fastify-background').TaskContext}
 * @param {Uint8Array} image a JPEG
 * @param {number} factor how many times narrower and lower it gets
 * @returns {Buffer} a JPEG
 */
export default function shrink (image, factor) {
  const whole = jpeg.decode(image, { formatAsRGBA: true })
  this.progress({ value: 0.5, message: 'read' })
  const width = Math.floor(whole.width / factor)
  const height = Math.floor(whole.height / factor)
  const data = Buffer.alloc(width * height * 4)
  for (let at = 0; at < data.length; at++) {
    const x = (at >> 2) % width * factor
    const y = Math.floor((at >> 2) / width) * factor
    let sum = 0
    for (let row = y; row < y + factor; row++) {
      for (let column = x; column < x + factor; column++) sum += whole.data[(row * whole.width + column) * 4 + (at & 3)]
    }
    data[at] = sum / factor ** 2
  }
  return jpeg.encode({ width, height, data }, 80).data
}
