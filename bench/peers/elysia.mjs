import { node } from '@elysiajs/node'
import { Elysia } from 'elysia'
import { background } from 'elysia-background'
import { Readable } from 'node:stream'
import { accept, asyncTask, breaking, fail, halting, port, record, recordLate, report, waitForLeaving } from './counts.mjs'

new Elysia({ adapter: node() })
  .get('/report', () => report())
  .get('/none', () => ({ hello: 'world' }))
  .use(background({ onError: () => {} }))
  .get('/async/1', ({ backgroundTasks }) => {
    backgroundTasks.addTask(asyncTask, 'argument')
    return { hello: 'world' }
  })
  .get('/async/3', ({ backgroundTasks }) => {
    backgroundTasks.addTask(asyncTask, 'argument')
    backgroundTasks.addTask(asyncTask, 'argument')
    backgroundTasks.addTask(asyncTask, 'argument')
    return { hello: 'world' }
  })
  // It takes no plain functions.

  .get('/leave', async ({ backgroundTasks }) => {
    backgroundTasks.addTask(record)
    accept()
    await waitForLeaving()
    return { hello: 'world' }
  })
  .get('/stream', ({ backgroundTasks }) => {
    backgroundTasks.addTask(record)
    accept()
    return new Response(Readable.toWeb(Readable.from(halting())))
  })
  .get('/broken', ({ backgroundTasks }) => {
    backgroundTasks.addTask(record)
    accept()
    return new Response(Readable.toWeb(Readable.from(breaking())))
  })
  .get('/failing', ({ backgroundTasks }) => {
    backgroundTasks.addTask(fail)
    backgroundTasks.addTask(record)
    accept()
    return { hello: 'world' }
  })
  .get('/late', ({ backgroundTasks }) => {
    backgroundTasks.addTask(recordLate)
    accept()
    return { hello: 'world' }
  })
  // Its server closes itself on SIGTERM.
  .listen({ port, hostname: '127.0.0.1' })
