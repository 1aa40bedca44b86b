// A process with a journal that has a task which takes the process down, and others beside it: `poison-process.ts LOCATION
// OPTIONS`. Each says when it starts, and goes on when it is told to by its name.
import Fastify from 'fastify'
import { journal } from '../../lib/engines/journal'
import background from '../../lib/index'

export interface Said { readonly is: 'started' | 'ended' | 'failed', readonly name: string }

export const NAMES = ['poison', 'a', 'b', 'c', 'd', 'e']

const [location, options] = process.argv.slice(2)

function say (said: Said): void {
  process.send!(said)
}

async function main (): Promise<void> {
  const app = Fastify()
  const tasks = NAMES.map((name) => background.defineTask(async () => {
    say({ is: 'started', name })
    await new Promise<void>((resolve) => process.on('message', (told) => { if (told === name) resolve() }))
    if (name === 'poison') process.kill(process.pid, 'SIGKILL')
    say({ is: 'ended', name })
  }, { name, durable: true }))
  const engine = journal({ location })
  await app.register(background, {
    ...JSON.parse(options), engine, tasks, maxRestarts: 1, onTaskError: (_, { name }) => say({ is: 'failed', name })
  })
  const { tasks: [before] } = await engine.list({ limit: 1 })
  if (before === undefined) await Promise.all(app.background.addTasks(tasks).map((run) => run.stored()))
  await app.ready()
}

if (require.main === module) main()
