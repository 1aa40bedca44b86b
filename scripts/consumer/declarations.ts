// A library that builds declarations: what it exports must have names there.
import { BackgroundTask, BackgroundTasks, defineTask, RetryAfterError, UnrecoverableError } from 'fastify-background'
import { getTaskContext } from 'fastify-background/context'
import { threadTask } from 'fastify-background/threads'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'

export const task = new BackgroundTask((to: string) => to.length, 'a@b.c')
export const group = new BackgroundTasks([task])
export const start = (app: FastifyInstance) => app.background.addTask((to: string) => to.length, 'a@b.c')
export const stats = (app: FastifyInstance) => app.background.stats()
export const queueOf = (reply: FastifyReply) => reply.background

export const sendEmail = defineTask(async (to: string, subject?: string) => [to, subject].join().length, { retries: 3 })
export const cleanUp = defineTask(function () { return this.progress(this.attempt) }, { name: 'clean up' })
export const audit = defineTask((request: FastifyRequest, reply: FastifyReply) => [request.url, reply.statusCode])
export const add = threadTask<(a: number, b: number) => number>('/add.js')
export const { options } = sendEmail
export const send = (app: FastifyInstance) => app.background.addTask(sendEmail, 'a@b.c')
export const context = () => getTaskContext()
export const howFar = (app: FastifyInstance) => app.background.get('id')?.progress
export class NoSuchAddress extends UnrecoverableError {}
export const busy = () => new RetryAfterError(1000)
