import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join, resolve } from 'node:path'
import t, { type Test } from 'tap'
import { end } from '../helpers/redis'
import { NAMES, type Said } from '../helpers/poison-process'

// A process may need a while to start where there are many.
t.setTimeout(120_000)

const [POISON, ...OTHERS] = NAMES

for (const [what, options, together] of [
  ['was at work together with others', {}, NAMES.length],
  ['was delivered before others that there was no room for', { concurrency: 1 }, 1]
] as const) {
  t.test(`D6: a task that takes its process down, and ${what}, is the only one that fails`, async (t) => {
    const location = join(t.testdir(), 'journal')
    const finals: string[] = []
    for (let round = 0; finals.length < NAMES.length; round++) await live(t, location, options, round === 0 ? together : 1, finals)

    t.strictSame(finals.sort(), [...OTHERS.map((name) => `${name} ended`), `${POISON} failed`])
  })
}

/** The life of one process, until it is dead or all is done. Its tasks go on when so many have started. */
async function live (t: Test, location: string, options: object, together: number, finals: string[]): Promise<void> {
  const child = fork(join(__dirname, '../helpers/poison-process.ts'), [location, JSON.stringify(options)], {
    cwd: resolve(__dirname, '../..'),
    execArgv: ['--import', 'tsx'],
    // Nothing of what tap hands on to child processes: neither its loader nor its coverage.
    env: { PATH: process.env.PATH, _TAPJS_PROCESSINFO_COVERAGE_: '0' }
  })
  t.teardown(() => end(child))
  const started: string[] = []
  child.on('message', ({ is, name }: Said) => {
    if (is !== 'started') {
      finals.push(`${name} ${is}`)
      if (finals.length === NAMES.length) child.kill()
    } else if (started.push(name) >= together) {
      // The one that takes the others with it first.
      for (const each of started.splice(0).sort().reverse()) child.send(each)
    }
  })
  await once(child, 'close')
}
