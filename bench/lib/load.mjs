// Requests, so many at once, each after the answer to one before it.
import { Pool } from 'undici'

/**
 * @param url where the server is
 * @param amount how many requests
 * @param connections how many at once
 * @param pathOf the path of the n-th request
 * @returns a promise for the last answer; rejects at the first that is not a 200
 */
export async function load (url, amount, connections, pathOf = () => '/') {
  const pool = new Pool(url, { connections, pipelining: 1 })
  try {
    await new Promise((resolve, reject) => {
      let sent = 0
      let answered = 0
      for (let i = 0; i < Math.min(connections, amount); i++) next()

      function next () {
        if (sent === amount) return
        pool.dispatch({ path: pathOf(sent++), method: 'GET' }, {
          onRequestStart () {},
          onResponseStart (_, status) { if (status !== 200) reject(new Error(`load: a reply of ${status}`)) },
          onResponseData () {},
          onResponseEnd () {
            if (++answered === amount) resolve()
            else next()
          },
          onResponseError (_, err) { reject(err) }
        })
      }
    })
  } finally {
    await pool.destroy()
  }
}
