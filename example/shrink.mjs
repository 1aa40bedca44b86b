// Runs in a thread, or not: it is a task function like any other.
import { PNG } from 'pngjs'

/**
 * Makes a picture smaller: every pixel of the result is the mean of those that it stands for.
 *
 * @this {import('fastify-background').TaskContext}
 * @param {Buffer} image a PNG
 * @param {number} factor how many times narrower and lower it gets
 * @returns {Buffer} a PNG
 */
export default function shrink (image, factor) {
  const whole = PNG.sync.read(image)
  this.progress({ value: 0.5, message: 'read' })
  const width = Math.floor(whole.width / factor)
  const height = Math.floor(whole.height / factor)
  const small = new PNG({ width, height })
  const { data } = small
  for (let at = 0; at < data.length; at++) {
    const x = (at >> 2) % width * factor
    const y = Math.floor((at >> 2) / width) * factor
    let sum = 0
    for (let row = y; row < y + factor; row++) {
      for (let column = x; column < x + factor; column++) sum += whole.data[(row * whole.width + column) * 4 + (at & 3)]
    }
    data[at] = sum / factor ** 2
  }
  return PNG.sync.write(small)
}
