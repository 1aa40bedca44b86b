// A process with a journal that does what its parent says: `journal-process.ts LOCATION`.
import type { Delivery, Outcome, StoredTask } from '../../lib/engines/engine'
import { journal } from '../../lib/engines/journal'
import { SILENT } from '../engines/suite-support'

export type Order =
  | { readonly do: 'open' | 'work' | 'close' }
  | { readonly do: 'store' | 'hold' | 'storeAndDie' | 'flood', readonly tasks: StoredTask[] }
  | { readonly do: 'end', readonly id: string, readonly outcome: Outcome, readonly thenDie: boolean }

export type Answer =
  | { readonly is: 'done', readonly error?: { readonly code?: string, readonly message: string } }
  | { readonly is: 'stored', readonly id: string }
  | { readonly is: 'started', readonly id: string, readonly attempt: number, readonly restarts: number }

const engine = journal({ location: process.argv[2] })
const atWork = new Map<string, (outcome: Outcome) => void>()

const worker = {
  concurrency: Infinity,
  run: async ({ task: { id }, attempt, restarts }: Delivery): Promise<Outcome> => {
    say({ is: 'started', id, attempt, restarts })
    return await new Promise((resolve) => atWork.set(id, resolve))
  },
  cancel: () => false
}

async function obey (order: Order): Promise<void> {
  switch (order.do) {
    case 'open': return await engine.open(SILENT)
    case 'work': return await engine.work(worker)
    case 'close': return await engine.close()
    case 'store':
      await engine.store(order.tasks)
      engine.release(order.tasks.map(({ id }) => id))
      return
    case 'hold': return await engine.store(order.tasks)
    case 'storeAndDie':
      engine.store(order.tasks).catch(() => {})
      return die()
    case 'flood':
      for (const task of order.tasks) engine.store([task]).then(() => say({ is: 'stored', id: task.id }), () => {})
      return
    case 'end':
      // Its outcome is known by then, and not written: that waits for the next turn, behind this.
      if (order.thenDie) setImmediate(die)
      atWork.get(order.id)!(order.outcome)
  }
}

function die (): void {
  process.kill(process.pid, 'SIGKILL')
}

function say (answer: Answer): void {
  process.send!(answer)
}

// A file that gets longer than it may is an error, not the end.
process.on('SIGXFSZ', () => {})
process.on('message', (order: Order) => {
  obey(order).then(() => say({ is: 'done' }), ({ code, message }) => say({ is: 'done', error: { code, message } }))
})
say({ is: 'done' })
