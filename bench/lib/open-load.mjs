// Requests at a fixed rate, whether those before them have been answered or not. A closed loop would send less while the
// server is slow, and so ask fewer of those who would have had to wait ("coordinated omission").
import { performance } from 'node:perf_hooks'
import { Pool } from 'undici'

const MOST_CONNECTIONS = 512

/**
 * @param rate requests per second
 * @returns the milliseconds from when each request was due to its last byte, also where it was sent late
 */
export async function openLoad (url, amount, rate) {
  const pool = new Pool(url, { connections: MOST_CONNECTIONS, pipelining: 1 })
  try {
    return await new Promise((resolve, reject) => {
      const waits = []
      const began = performance.now()
      let sent = 0
      sendDue()

      // Timers are too coarse. The load has a core of its own.
      function sendDue () {
        const due = Math.min(amount, Math.floor((performance.now() - began) * rate / 1_000) + 1)
        for (; sent < due; sent++) send(began + sent * 1_000 / rate)
        if (sent < amount) setImmediate(sendDue)
      }

      function send (dueAt) {
        pool.dispatch({ path: '/', method: 'GET' }, {
          onRequestStart () {},
          onResponseStart (_, status) { if (status !== 200) reject(new Error(`load: a reply of ${status}`)) },
          onResponseData () {},
          onResponseEnd () {
            if (waits.push(performance.now() - dueAt) === amount) resolve(waits)
          },
          onResponseError (_, err) { reject(err) }
        })
      }
    })
  } finally {
    await pool.destroy()
  }
}
