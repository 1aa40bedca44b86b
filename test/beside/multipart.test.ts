import { existsSync } from 'node:fs'
import { readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import multipart from '@fastify/multipart'
import type { TaskRun } from '../../lib/index'
import { listen } from '../helpers/app'
import { beside } from '../helpers/beside'
import { counts } from '../helpers/counts'
import { latch, until } from '../helpers/latch'
import { closed } from '../helpers/reply'
import { head, rawClient } from '../helpers/tcp'

const test = beside('@fastify/multipart', (app) => app.register(multipart))

// The plugin deletes what it saved in onResponse, and waits for no task; the limit is documented.
test('T5: a file of saveRequestFiles is deleted while a task runs', async (t, app) => {
  const gone = latch()
  let saved = ''
  app.post('/', async (request, reply) => {
    const { files: [file] } = await request.saveRequestFiles({ tmpdir: t.testdir() })
    saved = file.filepath
    t.equal(await readFile(saved, 'utf8'), 'content')
    reply.background.addTask(async (path: string) => {
      await until(() => !existsSync(path))
      gone.open()
    }, file.filepath)
    return 'saved'
  })
  const { url } = await listen(app)

  const response = await fetch(url, { method: 'POST', body: form() })
  t.equal(await response.text(), 'saved')
  await gone
  await app.background.idle()

  t.notOk(existsSync(saved))
  t.strictSame(app.background.stats(), counts({ accepted: 1, completed: 1 }))
})

test('T5: a file that the handler has moved is there for the task', async (t, app) => {
  const read: string[] = []
  const dir = t.testdir({ temporary: {}, kept: {} })
  let saved = ''
  app.post('/', async (request, reply) => {
    const { files: [file] } = await request.saveRequestFiles({ tmpdir: join(dir, 'temporary') })
    saved = file.filepath
    const kept = join(dir, 'kept', 'upload')
    await rename(file.filepath, kept)
    reply.background.addTask(async (path: string) => { read.push(await readFile(path, 'utf8')) }, kept)
    return 'saved'
  })
  const { url } = await listen(app)

  const response = await fetch(url, { method: 'POST', body: form() })
  t.equal(await response.text(), 'saved')
  await app.background.idle()

  t.strictSame(read, ['content'])
  t.notOk(existsSync(saved))
  t.strictSame(app.background.stats(), counts({ accepted: 1, completed: 1 }))
})

test('T2: a file that the handler has moved is there for the task when the client leaves before the reply', async (t, app) => {
  const read: string[] = []
  const moved = latch()
  const added = latch<TaskRun>()
  const dir = t.testdir({ temporary: {}, kept: {} })
  app.post('/', async (request, reply) => {
    const left = closed(reply)
    const { files: [file] } = await request.saveRequestFiles({ tmpdir: join(dir, 'temporary') })
    const kept = join(dir, 'kept', 'upload')
    await rename(file.filepath, kept)
    moved.open()
    await left
    added.open(reply.background.addTask(async (path: string) => { read.push(await readFile(path, 'utf8')) }, kept))
    return 'too late'
  })
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.write(upload())
  await moved
  client.leave()
  const run = await added
  await run.finished()

  t.strictSame(read, ['content'])
  t.strictSame(app.background.stats(), counts({ accepted: 1, completed: 1 }))
})

test('T1: a route\'s task runs once after an upload that the handler reads as a stream, and sees its fields', async (t, app) => {
  const ran: string[] = []
  app.post('/', { background: (request) => { ran.push(String((request as { upload?: string }).upload)) } }, async (request) => {
    const file = await request.file()
    Object.assign(request, { upload: String(await file!.toBuffer()) })
    t.strictSame(ran, [])
    return 'read'
  })
  const { url } = await listen(app)

  const response = await fetch(url, { method: 'POST', body: form() })
  t.equal(await response.text(), 'read')
  await app.background.idle()

  t.strictSame(ran, ['content'])
  t.strictSame(app.background.stats(), counts({ accepted: 1, completed: 1 }))
})

test('T4: a route\'s task is discarded where the upload is too large', async (t, app) => {
  const ran: string[] = []
  app.post('/', { background: () => { ran.push('route') } }, async (request, reply) => {
    reply.background.addTask(() => { ran.push('reply') })
    await request.saveRequestFiles({ tmpdir: t.testdir(), limits: { fileSize: 1 } })
    return 'saved'
  })
  const { url } = await listen(app)

  const response = await fetch(url, { method: 'POST', body: form() })
  await response.text()
  await app.background.idle()

  t.equal(response.status, 413)
  t.strictSame(ran, ['reply'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 1, discarded: 1 }))
})

function form (): FormData {
  const data = new FormData()
  data.append('file', new Blob(['content']), 'file.txt')
  return data
}

/** The same form, as it goes over the wire. */
function upload (): string {
  const body = '--x\r\ncontent-disposition: form-data; name="file"; filename="file.txt"\r\n' +
    'content-type: text/plain\r\n\r\ncontent\r\n--x--\r\n'
  return head('POST', '/', {
    'content-type': 'multipart/form-data; boundary=x', 'content-length': String(body.length)
  }) + body
}
