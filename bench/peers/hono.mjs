import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import process from 'node:process'
import { Readable } from 'node:stream'
import { accept, asyncTask, breaking, fail, halting, plainTask, port, record, recordLate, report, waitForLeaving } from './counts.mjs'
import { add } from './run-on-finish.mjs'

const app = new Hono()
app.get('/report', (c) => c.json(report()))
app.get('/none', (c) => c.json({ hello: 'world' }))
for (const [name, task] of [['async', asyncTask], ['plain', plainTask]]) {
  app.get(`/${name}/1`, (c) => {
    add(c.env.outgoing, task, 'argument')
    return c.json({ hello: 'world' })
  })
  app.get(`/${name}/3`, (c) => {
    add(c.env.outgoing, task, 'argument')
    add(c.env.outgoing, task, 'argument')
    add(c.env.outgoing, task, 'argument')
    return c.json({ hello: 'world' })
  })
}

app.get('/leave', async (c) => {
  add(c.env.outgoing, record)
  accept()
  await waitForLeaving()
  return c.json({ hello: 'world' })
})
app.get('/stream', (c) => {
  add(c.env.outgoing, record)
  accept()
  return c.body(Readable.toWeb(Readable.from(halting())))
})
app.get('/broken', (c) => {
  add(c.env.outgoing, record)
  accept()
  return c.body(Readable.toWeb(Readable.from(breaking())))
})
app.get('/failing', (c) => {
  add(c.env.outgoing, fail)
  add(c.env.outgoing, record)
  accept()
  return c.json({ hello: 'world' })
})
app.get('/late', (c) => {
  add(c.env.outgoing, recordLate)
  accept()
  return c.json({ hello: 'world' })
})

const server = serve({ fetch: app.fetch, port, hostname: '127.0.0.1' })
// https://hono.dev/docs/getting-started/nodejs
process.on('SIGTERM', () => {
  server.close((err) => process.exit(err ? 1 : 0))
})
