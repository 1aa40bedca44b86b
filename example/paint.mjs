import { PNG } from 'pngjs'

/**
 * A picture to work on: hills under a sky, with some grain.
 *
 * @param {number} width
 * @param {number} height
 * @returns {Buffer} a PNG
 */
export function paint (width, height) {
  const png = new PNG({ width, height })
  const { data } = png
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at += 4) {
      const isSky = y < height * (0.5 + 0.1 * Math.sin(x / 90) + 0.05 * Math.sin(x / 31))
      const grain = ((x >> 4) * 7919 + (y >> 4) * 104729) % 23
      data[at] = (isSky ? 120 : 60) + grain
      data[at + 1] = (isSky ? 170 : 110 + (y * 60) / height) + grain
      data[at + 2] = (isSky ? 230 : 50) + grain
      data[at + 3] = 255
    }
  }
  return PNG.sync.write(png, { deflateLevel: 1 })
}
