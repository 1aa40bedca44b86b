import t from 'tap'
import background from '../lib/index'
import { createApp } from './helpers/app'
import { counts } from './helpers/counts'
import { latch, until } from './helpers/latch'
import { assertSlots, occupy } from './helpers/limited'
import { onEvent } from './helpers/policies'
import { manyTurns } from './helpers/reply'
import { serve } from './helpers/serve'

const { BackgroundTasks } = background

t.test('R1: a run of a group that is cancelled in line for a slot gives its place to the next, and what is behind waits for all', async (t) => {
  const app = await createApp(t, { concurrency: 1 })
  const go = latch()
  const ran: string[] = []
  const note = (name: string) => (): void => { ran.push(name) }
  let group: background.TaskRun[] = []
  await serve(app, (reply) => {
    group = reply.background.addTasks(new BackgroundTasks([() => go, note('b'), note('c'), note('d'), note('e')], { concurrency: 3 }))
    reply.background.addTask(note('behind'))
  })
  await until(() => group[0].state === 'active')
  // Two have places in the group, and no slot.
  t.ok(group[1].cancel())
  t.ok(group[2].cancel())
  await manyTurns()
  t.strictSame(ran, [], 'there is no slot yet')
  go.open()
  await app.background.idle()

  t.strictSame(ran, ['d', 'e', 'behind'])
  t.strictSame(app.background.stats(), counts({ accepted: 6, completed: 4, cancelled: 2 }))
  await assertSlots(app, 1)
})

t.test('R1: a group whose last runs are cancelled in line for a slot ends with the one at work, and what is behind starts', async (t) => {
  const app = await createApp(t, { concurrency: 1 })
  const go = latch()
  let group: background.TaskRun[] = []
  let behind!: background.TaskRun
  await serve(app, (reply) => {
    group = reply.background.addTasks(new BackgroundTasks([() => go, () => {}, () => {}], { concurrency: 3 }))
    behind = reply.background.addTask(() => 'went on')
  })
  await until(() => group[0].state === 'active')
  for (const run of group.slice(1)) t.ok(run.cancel())
  await manyTurns()
  t.equal(behind.state, 'queued')
  go.open()
  await app.background.idle()

  t.equal(behind.result, 'went on')
  await assertSlots(app, 1)
})

t.test('R2: the place of a run that is cancelled in line for a slot is filled at once, so that no slot is idle', async (t) => {
  const app = await createApp(t, { concurrency: 2 })
  const open = await occupy(app, 1)
  const go = latch()
  const group = app.background.addTasks(new BackgroundTasks([() => go, () => {}, () => 'went on'], { concurrency: 2 }))
  await until(() => group[0].state === 'active')
  t.ok(group[1].cancel())
  open()
  await manyTurns()

  t.match(group.map(({ state }) => state), ['active', 'cancelled', 'completed'])
  go.open()
  await app.background.idle()
  await assertSlots(app, 2)
})

t.test('L1: a group outside a request that is cancelled as a whole while it waits for a slot does not hold the application open', async (t) => {
  const app = await createApp(t, { concurrency: 1, closeTimeout: 3_600_000 }, { pluginTimeout: 0 })
  const open = await occupy(app, 1)
  const group = app.background.addTasks(new BackgroundTasks([() => {}, () => {}, () => {}], { concurrency: 2 }))
  const next = app.background.addTask(() => 'went on')
  for (const run of group) t.ok(run.cancel())
  open()
  t.equal((await next.finished()).result, 'went on')
  await app.close()

  t.strictSame(app.background.stats(), counts({ accepted: 5, completed: 2, cancelled: 3 }))
})

t.test('R1: a group that stops publishes what it discards in its order: what stood in line, then what waited', async (t) => {
  const app = await createApp(t, { concurrency: 1 })
  const discarded: background.TaskRun[] = []
  onEvent(t, app, 'discarded', ({ run }) => { discarded.push(run) })
  const runs: background.TaskRun[] = []
  await serve(app, (reply) => {
    runs.push(...reply.background.addTasks(new BackgroundTasks([
      () => {}, () => { throw new Error('broken') }, () => {}, () => {}, () => {}
    ], { concurrency: 3, onFailure: 'stop' })))
    runs.push(reply.background.addTask(() => {}))
  })
  await app.background.idle()

  t.strictSame(runs.map(({ state }) => state), ['completed', 'failed', 'discarded', 'discarded', 'discarded', 'completed'])
  t.ok(discarded.length === 3 && discarded.every((run, i) => run === runs[i + 2]))
  await assertSlots(app, 1)
})
