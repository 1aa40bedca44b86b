import type { FastifyInstance, FastifyReply } from 'fastify'
import type { Test } from 'tap'
import background from '../../lib/index'
import { latch, turn, until } from './latch'
import { manyTurns } from './reply'

/** Asks for one reply for each function, in order, and waits until each has settled. Once an application. */
export async function settle (app: FastifyInstance, ...works: Array<(reply: FastifyReply) => unknown>): Promise<void> {
  for (const [i, work] of works.entries()) {
    app.get(`/settle/${i}`, async (_, reply) => {
      await work(reply)
      return 'ok'
    })
  }
  for (const i of works.keys()) {
    const { statusCode, body } = await app.inject(`/settle/${i}`)
    // What throws in there would be nothing but a reply.
    if (statusCode !== 200) throw new Error(body)
    await manyTurns()
  }
}

/** Takes slots of an application with tasks that go on until the function returned is called. */
export async function occupy (app: FastifyInstance, slots: number): Promise<() => void> {
  const go = latch()
  const runs: background.TaskRun[] = []
  for (let i = 0; i < slots; i++) runs.push(app.background.addTask(() => go))
  await until(() => runs.every((run) => run.state === 'active'))
  return go.open
}

/** Counts functions at work, which the books of the library know nothing of. */
export class Meter {
  most = 0
  started = 0
  atWork = 0

  begin (): void {
    this.started++
    this.most = Math.max(this.most, ++this.atWork)
  }

  end (): void {
    this.atWork--
  }
}

/** A task of every kind: four that complete, three that fail, one that is cancelled. All but one take some turns. */
export function kindsOf (app: FastifyInstance, begin: () => void, end: () => void): Array<background.TaskFunction<[]>> {
  async function work (): Promise<void> {
    begin()
    await turn()
    end()
  }
  /** Goes on for ever: what counts is the end of its run. */
  function endless ({ signal }: background.TaskContext): Promise<never> {
    begin()
    signal.addEventListener('abort', end)
    return new Promise(() => {})
  }
  return [
    work,
    () => {
      begin()
      end()
    },
    () => {
      begin()
      return { then (resolve: (value: string) => void) { setImmediate(() => { end(); resolve('done') }) } }
    },
    () => {
      begin()
      end()
      throw new Error('broken')
    },
    async () => {
      await work()
      throw new Error('broken')
    },
    background.defineTask(async function () {
      await work()
      if (this.attempt < 3) throw new Error('broken')
    }, { retries: 2, backoff: { delay: 0 } }),
    background.defineTask(function () { return endless(this) }, { timeout: 2 }),
    function () {
      setImmediate(() => app.background.get(this.id)!.cancel())
      return endless(this)
    }
  ]
}

/** Asks that so many runs may still be active at once, and no more. */
export async function assertSlots (app: FastifyInstance, slots: number): Promise<void> {
  const open = await occupy(app, slots)
  const next = app.background.addTask(() => {})
  await manyTurns()
  if (next.state !== 'queued') throw new Error('a slot too many')
  open()
  await next.finished()
}

/** A task that is to be refused. */
export function noStart (): never {
  throw new Error('a refused task that starts')
}

/** Asks, and expects the answer of a full queue: it says when to come again. */
export async function assertRefused (t: Test, url: string, body: object = {}): Promise<void> {
  const response = await fetch(url)
  t.equal(response.status, 503)
  t.equal(response.headers.get('retry-after'), '10')
  t.match(await response.json(), { code: 'FST_ERR_BACKGROUND_QUEUE_FULL', ...body })
}
