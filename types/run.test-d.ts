import { expectTypeOf } from 'expect-type'
import type { FastifyInstance } from 'fastify'
import type {
  AppBackground, BackgroundStats, QueuedTask, ReplyBackground, TaskProgress, TaskRun, TaskSnapshot, TaskState
} from 'fastify-background'

declare const app: FastifyInstance
declare const run: TaskRun<string>

// A run tells its outcome, and cannot be changed.
expectTypeOf(run).toEqualTypeOf<{
  readonly id: string
  readonly name: string
  readonly state: TaskState
  readonly attempt: number
  readonly progress: TaskProgress | undefined
  readonly error: unknown
  readonly result: string | undefined
  readonly queuedAt: number
  readonly startedAt: number | undefined
  readonly finishedAt: number | undefined
  cancel (reason?: unknown): boolean
  finished (): Promise<TaskRun<string>>
  toJSON (): object
  stored (): Promise<TaskRun<string>>
}>()
expectTypeOf<TaskState>()
  .toEqualTypeOf<'queued' | 'active' | 'retrying' | 'completed' | 'failed' | 'discarded' | 'cancelled' | 'stored'>()
expectTypeOf<TaskRun>().toEqualTypeOf<TaskRun<unknown>>()
expectTypeOf(run).toExtend<TaskRun>()
// @ts-expect-error read-only
run.state = 'completed'
// @ts-expect-error read-only
run.result = 'done'
// @ts-expect-error read-only
run.attempt = 1
// @ts-expect-error a run tells its progress, and is not told it
run.progress(0.5)

// It can be cancelled, for any reason or none.
expectTypeOf(run.cancel()).toEqualTypeOf<boolean>()
expectTypeOf(run.cancel(new Error('the user has left'))).toEqualTypeOf<boolean>()
run.cancel('the user has left')
expectTypeOf(app.background.get('id')?.cancel()).toEqualTypeOf<boolean | undefined>()
// @ts-expect-error two reasons
run.cancel('the user has left', 'the server is busy')

// Its progress cannot be changed.
expectTypeOf(run.progress?.value).toEqualTypeOf<number | undefined>()
expectTypeOf(run.progress?.message).toEqualTypeOf<string | undefined>()
// @ts-expect-error there may be none
run.progress.value.toFixed()
// @ts-expect-error read-only
if (run.progress !== undefined) run.progress.value = 1

// The states can be told apart without a default.
export function inWords (state: TaskState): string {
  switch (state) {
    case 'queued': case 'active': case 'retrying': case 'stored': return 'under way'
    case 'completed': return 'done'
    case 'failed': case 'cancelled': case 'discarded': return 'not done'
  }
}

// app.background adds, and tells the state of all.
expectTypeOf(app.background).toEqualTypeOf<AppBackground>()
expectTypeOf<keyof AppBackground>().toEqualTypeOf<'addTask' | 'addTasks' | 'idle' | 'queued' | 'runAll' | 'stats' | 'get' | 'find' | 'cancel'>()
expectTypeOf(app.background.idle()).toEqualTypeOf<Promise<void>>()
expectTypeOf(app.background.runAll()).toEqualTypeOf<Promise<void>>()
expectTypeOf(app.background.queued).toEqualTypeOf<readonly QueuedTask[]>()
expectTypeOf<QueuedTask>().toEqualTypeOf<{
  readonly name: string
  readonly task: Function
  readonly args: readonly unknown[]
  readonly run: TaskRun
}>()
expectTypeOf(app.background.get('id')).toEqualTypeOf<TaskRun | undefined>()
expectTypeOf(app.background.stats()).toEqualTypeOf<BackgroundStats>()
expectTypeOf<BackgroundStats>().toEqualTypeOf<Record<
  'accepted' | 'queued' | 'active' | 'retrying' | 'completed' | 'failed' | 'cancelled' | 'discarded' | 'stored', number
>>()
// @ts-expect-error an id is a string
app.background.get(1)

// By an id, a run is found and cancelled wherever it is; what is found is what was known at that moment.
expectTypeOf(app.background.find('id')).toEqualTypeOf<Promise<TaskSnapshot | undefined>>()
expectTypeOf(app.background.cancel('id')).toEqualTypeOf<Promise<boolean>>()
expectTypeOf<TaskSnapshot>().toEqualTypeOf<Readonly<Omit<TaskRun, 'cancel' | 'finished' | 'stored' | 'toJSON'>>>()
// @ts-expect-error an id is a string
app.background.find(1)
// @ts-expect-error an id is a string
app.background.cancel(1)

// reply.background adds, and tells how many are unfinished.
expectTypeOf<keyof ReplyBackground>().toEqualTypeOf<'addTask' | 'addTasks' | 'size'>()
expectTypeOf<ReplyBackground['size']>().toEqualTypeOf<number>()
declare const background: ReplyBackground
// @ts-expect-error read-only
background.size = 0
