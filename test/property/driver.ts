import type { IncomingMessage } from 'node:http'
import type { Http2ServerRequest } from 'node:http2'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { listen } from '../helpers/app'
import { turn } from '../helpers/latch'
import { createClients, type Clients, type Transport } from './clients'
import { Gates } from './gates'
import { countTimers, subscribe } from './listeners'
import { Model } from './model'
import { PLAIN_TASK, type Program, type Step, type TaskPlan } from './program'
import type { RunRecord } from './records'
import { createServer, indexOf, pathOf } from './server'
import { Tasks } from './tasks'
import { judge } from './verdict'

// Enough for replies to be read, and for tasks to run; for nothing that must not be missed.
const SOME_TURNS = 50
// Far more than anything takes that has all it needs, over the network of one machine.
const MANY_TURNS = 100_000
// The same where timers of a few milliseconds are part of it.
const MANY_MORE_TURNS = 10 * MANY_TURNS
// How long time is let pass, in milliseconds.
const SOME_TIME = 3

const WAITING: TaskPlan = { ...PLAIN_TASK, style: 'async' }

interface Action {
  readonly label: string
  run (): void
  /** The server has seen it. */
  isSeen (): boolean
  /** Nothing may be under way when it is done, and nothing else may be done before it has been seen. */
  readonly alone?: boolean
}

/** Runs a program over one transport. Throws what it finds, with the story. */
export async function run (program: Program, transport: Transport): Promise<void> {
  const timers = countTimers()
  const gates = new Gates()
  const model = new Model(program, () => app)
  const tasks = new Tasks(model, gates, () => app)
  const app = await createServer(model, gates, tasks, transport === 'http2')
  const { port } = await listen(app)
  const driver = new Driver(app, model, gates, tasks, createClients(transport, port), timers)
  const unsubscribe = subscribe(model, app)
  try {
    for (const step of program.schedule) await driver.take(step)
    await driver.finish()
  } catch (error) {
    await driver.release()
    throw error
  } finally {
    unsubscribe()
  }
}

class Driver {
  readonly #app: FastifyInstance
  readonly #model: Model
  readonly #gates: Gates
  readonly #tasks: Tasks
  readonly #clients: Clients
  // How many there were before the program.
  readonly #timers: number
  readonly #sent = new Set<number>()
  readonly #left = new Set<number>()
  readonly #timedOut = new Set<number>()
  readonly #cancelled = new Set<RunRecord>()
  // Requests that the server has seen, and those whose connection or stream it has seen closing.
  readonly #arrived = new Set<number>()
  readonly #gone = new Set<number>()
  #allLeft = false
  #closed: Promise<void> | undefined

  constructor (app: FastifyInstance, model: Model, gates: Gates, tasks: Tasks, clients: Clients, timers: number) {
    this.#app = app
    this.#model = model
    this.#gates = gates
    this.#tasks = tasks
    this.#clients = clients
    this.#timers = timers
    app.server.prependListener('request', (request: IncomingMessage | Http2ServerRequest) => this.#arrive(request))
  }

  /** Takes one of the actions that are possible, or lets time go on where there is none. */
  async take ({ pick, then }: Step): Promise<void> {
    const actions = this.#actions()
    if (actions.length > 0) {
      const action = actions[pick % actions.length]
      await this.#do(action)
      if (then !== 0) await this.#see(action)
    }
    // What is waiting at a gate can be told only once the promises of this moment have been kept.
    if (then === 0) await null
    else if (then === 'quiet') await this.#quiet()
    else if (then === 'time') await this.#passTime()
    else await this.#turns(then)
    this.#model.assert()
  }

  /** Does all that is left, and looks at the outcome. */
  async finish (): Promise<void> {
    await this.#exhaust(SOME_TURNS)
    await this.#quiet()
    const leaving = this.#leaving()
    await this.#do(leaving)
    await this.#see(leaving)
    const turns = this.#model.program.settleTimeout === 1 ? MANY_MORE_TURNS : MANY_TURNS
    await this.#exhaust(turns, () => this.#model.unfinished === 0)
    if (this.#model.unfinished > 0) this.#model.violation('T2: runs are left, and nothing is left to wait for')
    this.#model.assert()
    // Shutdown has some of its own.
    if (!this.#model.closing) this.#judgeTimers()
    await this.#judgeSlots()
    await judge(this.#model)
    this.#model.assert()
    await this.#judgeClosing()
    this.#judgeTimers()
    if (this.#model.idles > 0) this.#model.violation('idle() has not resolved, and no run is unfinished')
    // Unhandled rejections are emitted one turn later at the latest.
    await turn()
    this.#model.assert()
  }

  /** After a failure: ends what can be ended. */
  async release (): Promise<void> {
    this.#clients.end()
    this.#close()
    for (let i = 0; i < SOME_TURNS; i++) {
      for (const gate of [...this.#gates.waiting]) this.#gates.open(gate)
      await turn()
    }
  }

  #actions (): Action[] {
    const { replies, program } = this.#model
    const actions: Action[] = []
    for (const reply of replies) {
      const { index } = reply
      if (!this.#sent.has(index)) {
        actions.push({
          label: `r${index} is sent`,
          run: () => { this.#sent.add(index); this.#clients.send(index, pathOf(reply)) },
          isSeen: () => this.#arrived.has(index) || this.#clients.isOver(index)
        })
      } else if (reply.plan.leaves && !this.#left.has(index)) {
        actions.push({
          label: `client of r${index} leaves`,
          run: () => { this.#left.add(index); this.#clients.leave(index) },
          isSeen: () => this.#clients.isOver(index) && (!this.#arrived.has(index) || this.#isOver(index))
        })
      }
    }
    if (program.allLeave && !this.#allLeft) actions.push(this.#leaving())
    if (program.closes && this.#closed === undefined) {
      actions.push({ label: 'app.close()', run: () => { this.#close() }, isSeen: () => true })
    }
    for (const { index, isUndecided } of replies) {
      if (program.settleTimeout === 1 && isUndecided && !this.#timedOut.has(index)) actions.push(this.#timeOut(index))
    }
    for (const gate of this.#gates.waiting) {
      actions.push({ label: `gate ${gate.label} opens`, run: () => this.#gates.open(gate), isSeen: () => true })
    }
    for (const record of this.#model.runs) {
      if (record.plan.cancelled === 'by a step' && !this.#cancelled.has(record)) actions.push(this.#cancelling(record))
    }
    return actions
  }

  #cancelling (record: RunRecord): Action {
    return {
      label: `${record.label} is cancelled`,
      run: () => { this.#cancelled.add(record); this.#model.cancel(record) },
      isSeen: () => true
    }
  }

  #leaving (): Action {
    return {
      label: 'all clients leave',
      run: () => { this.#allLeft = true; this.#clients.end() },
      isSeen: () => [...this.#arrived].every((index) => this.#gone.has(index)),
      alone: this.#clients.losesSessions
    }
  }

  /** Lets the time-out of a reply pass. Nothing depends on whether it was quick enough. */
  #timeOut (index: number): Action {
    let passed = false
    return {
      label: `time-out of r${index} passes`,
      run: () => {
        this.#timedOut.add(index)
        // Not to be counted among the plugin's.
        setTimeout(() => { passed = true }, this.#model.program.settleTimeout).unref()
      },
      isSeen: () => passed
    }
  }

  async #do (action: Action): Promise<void> {
    if (action.alone) await this.#turns(SOME_TURNS)
    this.#model.note(`* ${action.label}`)
    action.run()
    if (action.alone) await this.#see(action)
  }

  /** Does everything that is possible, until nothing more comes of it for so many turns. */
  async #exhaust (turns: number, isDone = (): boolean => false): Promise<void> {
    for (let idle = 0; idle < turns; idle++) {
      for (let [action] = this.#actions(); action !== undefined; [action] = this.#actions()) {
        await this.#do(action)
        await this.#see(action)
        await this.#turn()
        idle = 0
      }
      if (isDone()) return
      await this.#turn()
    }
  }

  /** Waits until nothing happens any more but by the program or by a timer. */
  async #quiet (): Promise<void> {
    let last = ''
    for (let turns = 0; turns < SOME_TURNS; turns++) {
      await this.#turn()
      const { stats, starts } = this.#model
      const now = JSON.stringify([stats, starts])
      if (now !== last) turns = 0
      last = now
    }
    this.#model.quiet()
    this.#model.idle()
    this.#model.assert()
  }

  /** Lets time-outs and waits come to pass, if there are some. Nothing depends on whether they have. */
  async #passTime (): Promise<void> {
    if (!this.#model.waitsForTime) return
    await sleep(SOME_TIME)
    this.#model.check()
  }

  #judgeTimers (): void {
    const left = countTimers() - this.#timers
    if (left > 0) this.#model.violation(`L4: no run is unfinished, and timers are left: ${left}`)
  }

  /** Each slot is free, and there is none too many. */
  async #judgeSlots (): Promise<void> {
    const { closing, program: { concurrency, maxPending } } = this.#model
    if (closing || concurrency === Infinity) return
    const tasks = new Array(Math.min(concurrency + 1, maxPending)).fill(WAITING)
    this.#tasks.add(null, 'last', { to: 'app', entry: { kind: 'list', tasks } })
    await this.#quiet()
    await this.#exhaust(MANY_TURNS, () => this.#model.unfinished === 0)
  }

  async #judgeClosing (): Promise<void> {
    await this.#close()
    this.#model.check()
    const refusal = this.#tasks.add(null, 'after close()', { to: 'app', entry: { kind: 'task', task: WAITING } })
    if (refusal === undefined) this.#model.violation('L2: a task was accepted after close()')
  }

  #close (): Promise<void> {
    this.#model.close()
    this.#closed ??= this.#app.close().then(() => {
      this.#model.note('closed')
      if (this.#model.unfinished > 0) this.#model.violation('L1: close() resolved, and runs are unfinished')
    })
    return this.#closed
  }

  #arrive (request: IncomingMessage | Http2ServerRequest): void {
    const index = indexOf(request.url!)
    this.#model.note(`r${index} arrives`)
    this.#arrived.add(index)
    const connection = 'stream' in request ? request.stream : request.socket
    connection.once('close', () => {
      this.#model.note(`r${index} has no connection any more`)
      this.#gone.add(index)
    })
  }

  #isOver (index: number): boolean {
    const reply = this.#model.replies[index]
    return this.#gone.has(index) || reply.reply === undefined || reply.isFinished
  }

  #see (action: Action): Promise<void> {
    return this.#until(`the server sees: ${action.label}`, () => action.isSeen())
  }

  /** Waits for something that is known to come. */
  async #until (what: string, holds: () => boolean): Promise<void> {
    for (let turns = 0; !holds(); turns++) {
      if (turns === MANY_TURNS) this.#model.violation(`in vain: ${what}`)
      this.#model.assert()
      await turn()
    }
  }

  async #turns (count: number): Promise<void> {
    for (let i = 0; i < count; i++) await this.#turn()
  }

  async #turn (): Promise<void> {
    await turn()
    this.#model.check()
  }
}
