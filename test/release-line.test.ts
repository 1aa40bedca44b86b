import t from 'tap'
import type { FastifyReply } from 'fastify'
import background from '../lib/index'
import { createApp } from './helpers/app'
import { isCollected } from './helpers/gc'
import { latch } from './helpers/latch'
import { occupy } from './helpers/limited'
import { serve } from './helpers/serve'

const { BackgroundTasks } = background
type Adder = Pick<background.AppBackground, 'addTask' | 'addTasks'>
// More than it takes for a line to be looked through.
const MANY = 3_000

t.test('R6: runs that are added to a reply and cancelled while another of its runs is at work do not stay', async (t) => {
  const app = await createApp(t)
  const [go, added] = [latch(), latch<WeakRef<object>>()]
  await serve(app, (reply) => {
    reply.background.addTask(async () => {
      added.open(addAndCancel(reply.background))
      await go
    })
  })

  t.ok(await isCollected(await added))
  go.open()
})

t.test('R6: runs that are added to a reply and cancelled before it is sent do not stay', async (t) => {
  const app = await createApp(t)
  const [answer, added] = [latch(), latch<WeakRef<object>>()]
  const served = serve(app, async (reply: FastifyReply) => {
    added.open(addAndCancel(reply.background))
    await answer
  })

  t.ok(await isCollected(await added))
  answer.open()
  await served
})

t.test('R6: runs of a group that are cancelled while it waits do not stay', async (t) => {
  const app = await createApp(t, { concurrency: 1 })
  const open = await occupy(app, 1)
  const { first, last } = cancelAllButTheLast(app.background)

  t.ok(await isCollected(first))
  open()
  t.equal((await last.finished()).state, 'completed')
})

t.test('R6: a run that waits behind many others that were cancelled does stay', async (t) => {
  const app = await createApp(t, { concurrency: 1 })
  const open = await occupy(app, 1)
  const kept = new WeakRef(app.background.addTask(() => {}))
  addAndCancel(app.background)

  t.notOk(await isCollected(kept), 'so that the other tests can fail')
  open()
  await app.background.idle()
  t.equal(app.background.stats().completed, 2)
})

/** Adds and cancels runs one by one. @returns the first. */
function addAndCancel (to: Adder): WeakRef<object> {
  const add = (): background.TaskRun => {
    const run = to.addTask(() => {})
    run.cancel()
    return run
  }
  const first = new WeakRef(add())
  for (let i = 1; i < MANY; i++) add()
  return first
}

function cancelAllButTheLast (to: Adder): { first: WeakRef<object>, last: background.TaskRun } {
  const runs = to.addTasks(new BackgroundTasks(new Array(MANY).fill(() => {})))
  const last = runs.pop()!
  for (const run of runs) run.cancel()
  return { first: new WeakRef(runs[0]), last }
}
