// A library that builds declarations: what it exports must have names there.
import { BackgroundTask, BackgroundTasks } from 'fastify-background'
import type { FastifyInstance, FastifyReply } from 'fastify'

export const task = new BackgroundTask((to: string) => to.length, 'a@b.c')
export const group = new BackgroundTasks([task])
export const start = (app: FastifyInstance) => app.background.addTask((to: string) => to.length, 'a@b.c')
export const stats = (app: FastifyInstance) => app.background.stats()
export const queueOf = (reply: FastifyReply) => reply.background
