import t, { type Test } from 'tap'
import { Child } from '../helpers/journal-child'
import type { Answer } from '../helpers/journal-process'
import { journalStore, type JournalStore } from '../helpers/journal'
import { aTask, Bench, COMPLETED, idsOf, someTasks } from './suite-support'

type Started = Extract<Answer, { is: 'started' }>

// A process may need a while to start where there are many.
t.setTimeout(120_000)

t.test('D2: a process that is killed before a store resolves leaves nothing half', async (t) => {
  const { bench, child } = await start(t)
  child.sends({ do: 'storeAndDie', tasks: someTasks(3) })
  await child.ended()
  const { engine, hand } = await bench.start()
  const last = aTask()
  await engine.store([last])
  engine.release([last.id])

  t.equal((await hand.job(0)).task.id, last.id)
})

t.test('D2: a process that is killed after a store has resolved loses nothing', async (t) => {
  const { bench, child } = await start(t)
  const tasks = someTasks(3, { args: [{ a: 'ü' }], reqId: 'req-1', meta: { a: 'b' } })
  await child.obeys({ do: 'store', tasks })
  await child.kill()
  const { hand } = await bench.start({ concurrency: 1 })

  for (const [i, task] of tasks.entries()) {
    const job = await hand.job(i)
    t.strictSame(job.task, task)
    t.match(job, { attempt: 1, restarts: 0 })
    job.end(COMPLETED)
  }
})

t.test('D2: a process that is killed before a reply has left, and its tasks were released, loses nothing', async (t) => {
  const { bench, child } = await start(t)
  const [held, free] = someTasks(2)
  await child.obeys({ do: 'work' })
  await child.obeys({ do: 'hold', tasks: [held] })
  await child.obeys({ do: 'store', tasks: [free] })
  t.match(await child.hears('started'), { id: free.id })
  await child.kill()
  const { hand } = await bench.start({ concurrency: 1 })
  const job = await hand.job(0)
  t.match(job, { task: held, attempt: 1, restarts: 0 })
  job.end(COMPLETED)

  t.match(await hand.job(1), { task: { id: free.id }, attempt: 1, restarts: 1 })
})

for (const count of [1, 40, 400]) {
  t.test(`D2: a process that is killed at any moment loses nothing that it has acknowledged: ${count} of many`, async (t) => {
    const { bench, child } = await start(t)
    const tasks = someTasks(2_000, { args: ['x'.repeat(500)] })
    child.sends({ do: 'flood', tasks })
    const acknowledged: string[] = []
    while (acknowledged.length < count) acknowledged.push((await child.hears('stored')).id)
    await child.kill()
    acknowledged.push(...idsOf(child.heard('stored')))
    const engine = await bench.open()
    const { tasks: found } = await engine.list({ limit: Infinity })
    const ids = idsOf(found.map(({ task }) => task)).reverse()

    t.strictSame(acknowledged.filter((id) => !ids.includes(id)), [])
    // Those that were being written may be there too; the order is that of storing.
    t.strictSame(ids, idsOf(tasks).slice(0, ids.length))
    t.ok(found.every(({ task }) => task.args[0] === 'x'.repeat(500)))
  })
}

t.test('D6: each process that is killed in mid-task counts as a restart, of what was at work alone', async (t) => {
  const { store, bench, child } = await start(t)
  const [atWork, waiting] = [someTasks(10), someTasks(2)]
  await child.obeys({ do: 'work' })
  await child.obeys({ do: 'store', tasks: [...atWork, ...waiting] })
  await startedAll(child, atWork.length)
  await child.kill()
  const second = await startChild(t, store)
  await second.obeys({ do: 'work' })
  // Of those that a process has died at one at a time, and others beside it.
  const again = await startedAll(second, 1 + waiting.length)
  await second.kill()
  const { hand } = await bench.start({ concurrency: Infinity })
  const [twice, ...once] = idsOf([...atWork, ...waiting])
  for (let i = 0; i <= once.length; i++) {
    const { task, attempt, restarts, end } = await hand.job(i)
    t.strictSame([task.id, attempt, restarts], i === 0 ? [twice, 1, 2] : [once[i - 1], 1, 1])
    t.equal(hand.atWork, 1)
    end(COMPLETED)
  }

  t.strictSame(again.map(({ id, attempt, restarts }) => [id, attempt, restarts]),
    [[twice, 1, 1], ...waiting.map(({ id }) => [id, 1, 0])])
})

t.test('D6: a process that is killed between the end of a task and its removal has it done once more', async (t) => {
  const { bench, child } = await start(t)
  const task = aTask()
  await child.obeys({ do: 'work' })
  await child.obeys({ do: 'store', tasks: [task] })
  await child.hears('started')
  child.sends({ do: 'end', id: task.id, outcome: COMPLETED, thenDie: true })
  await child.ended()
  const { hand } = await bench.start()

  t.match(await hand.job(0), { task: { id: task.id }, attempt: 1, restarts: 1 })
})

t.test('D6: a failed attempt is not a restart, and a kill while the task waits is none either', async (t) => {
  const { store, bench, child } = await start(t)
  const task = aTask()
  await child.obeys({ do: 'work' })
  await child.obeys({ do: 'store', tasks: [task] })
  await child.hears('started')
  await child.obeys({ do: 'end', id: task.id, outcome: { state: 'failed', error: 'broken', retryIn: 0 }, thenDie: false })
  t.match(await child.hears('started'), { attempt: 2, restarts: 0 })
  await child.kill()
  const second = await startChild(t, store)
  await second.obeys({ do: 'work' })
  t.match(await second.hears('started'), { attempt: 2, restarts: 1 })
  await second.obeys({ do: 'end', id: task.id, outcome: { state: 'failed', error: 'again', retryIn: 3_600_000 }, thenDie: false })
  await settled(second)
  await second.kill()
  const { engine } = await bench.start()

  t.match(await engine.find(task.id), { state: 'retrying', attempt: 2, error: { message: 'again' } })
})

t.test('D2: what has completed stays gone after a kill', async (t) => {
  const { bench, child } = await start(t)
  const task = aTask()
  await child.obeys({ do: 'work' })
  await child.obeys({ do: 'store', tasks: [task] })
  await child.hears('started')
  await child.obeys({ do: 'end', id: task.id, outcome: COMPLETED, thenDie: false })
  const last = await settled(child)
  await child.kill()
  const { hand } = await bench.start()

  t.equal((await hand.job(0)).task.id, last)
})

async function start (t: Test): Promise<{ store: JournalStore, bench: Bench, child: Child }> {
  const store = journalStore(t)
  return { store, bench: new Bench(t, store), child: await startChild(t, store) }
}

async function startChild (t: Test, store: JournalStore): Promise<Child> {
  const child = await Child.start(t, store.location())
  await child.obeys({ do: 'open' })
  return child
}

async function startedAll (child: Child, count: number): Promise<Started[]> {
  const started: Started[] = []
  while (started.length < count) started.push(await child.hears('started'))
  return started
}

/** Whatever the process had to write is written: this was given to it after that. */
async function settled (child: Child): Promise<string> {
  const task = aTask()
  await child.obeys({ do: 'store', tasks: [task] })
  return task.id
}
