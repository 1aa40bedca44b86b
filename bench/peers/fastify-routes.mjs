// The routes of both servers on Fastify. `add(reply, fn, ...args)` attaches a task.
import { Readable } from 'node:stream'
import { accept, asyncTask, breaking, fail, halting, plainTask, record, recordLate, report, waitForLeaving } from './counts.mjs'

export function addRoutes (app, add) {
  app.get('/report', async () => report())
  app.get('/none', async () => ({ hello: 'world' }))
  for (const [name, task] of [['async', asyncTask], ['plain', plainTask]]) {
    app.get(`/${name}/1`, async (request, reply) => {
      add(reply, task, 'argument')
      return { hello: 'world' }
    })
    app.get(`/${name}/3`, async (request, reply) => {
      add(reply, task, 'argument')
      add(reply, task, 'argument')
      add(reply, task, 'argument')
      return { hello: 'world' }
    })
  }

  app.get('/leave', async (request, reply) => {
    add(reply, record)
    accept()
    await waitForLeaving()
    return { hello: 'world' }
  })
  app.get('/stream', async (request, reply) => {
    add(reply, record)
    accept()
    return Readable.from(halting())
  })
  app.get('/broken', async (request, reply) => {
    add(reply, record)
    accept()
    return Readable.from(breaking())
  })
  app.get('/failing', async (request, reply) => {
    add(reply, fail)
    add(reply, record)
    accept()
    return { hello: 'world' }
  })
  app.get('/late', async (request, reply) => {
    add(reply, recordLate)
    accept()
    return { hello: 'world' }
  })
}
