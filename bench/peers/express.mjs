import express from 'express'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import process from 'node:process'
import { accept, asyncTask, breaking, fail, halting, plainTask, port, record, recordLate, report, waitForLeaving } from './counts.mjs'
import { add } from './run-on-finish.mjs'

const app = express()
app.get('/report', (req, res) => { res.json(report()) })
app.get('/none', (req, res) => { res.json({ hello: 'world' }) })
for (const [name, task] of [['async', asyncTask], ['plain', plainTask]]) {
  app.get(`/${name}/1`, (req, res) => {
    add(res, task, 'argument')
    res.json({ hello: 'world' })
  })
  app.get(`/${name}/3`, (req, res) => {
    add(res, task, 'argument')
    add(res, task, 'argument')
    add(res, task, 'argument')
    res.json({ hello: 'world' })
  })
}

app.get('/leave', async (req, res) => {
  add(res, record)
  accept()
  await waitForLeaving()
  res.json({ hello: 'world' })
})
app.get('/stream', async (req, res) => {
  add(res, record)
  accept()
  await pipeline(Readable.from(halting()), res).catch(() => {})
})
app.get('/broken', async (req, res) => {
  add(res, record)
  accept()
  await pipeline(Readable.from(breaking()), res).catch(() => {})
})
app.get('/failing', (req, res) => {
  add(res, fail)
  add(res, record)
  accept()
  res.json({ hello: 'world' })
})
app.get('/late', (req, res) => {
  add(res, recordLate)
  accept()
  res.json({ hello: 'world' })
})

const server = app.listen(port, '127.0.0.1')
// https://expressjs.com/en/advanced/healthcheck-graceful-shutdown.html
process.on('SIGTERM', () => server.close())
