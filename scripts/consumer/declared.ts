// An application with a library, of which it has the declarations alone.
import { fastify } from 'fastify'
import type { TaskContext, TaskDefinition } from 'fastify-background'
import { audit, cleanUp, context, NoSuchAddress, sendEmail, start } from './emitted/declarations.cjs'

const app = fastify()
const email: TaskDefinition<[to: string, subject?: string], Promise<number>> = sendEmail
const result: number | undefined = app.background.addTask(sendEmail, 'a@b.c').result ?? start(app).result
app.get('/', { background: [audit, cleanUp] }, async () => await email('a@b.c'))
const found: TaskContext | undefined = context()
console.log(result, found?.attempt, new NoSuchAddress('a@b.c').message)
// @ts-expect-error an argument has the wrong type: nothing has been lost on the way
app.background.addTask(sendEmail, 1)
