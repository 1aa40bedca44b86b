import t from 'tap'
import Fastify from 'fastify'
import background from '../../lib/index'
import status from '../../lib/status/status'
import { listen } from '../helpers/app'
import { latch, until } from '../helpers/latch'
import { createAppWithStatus } from '../helpers/status-app'

const UNKNOWN = '00000000-0000-4000-8000-000000000000'

t.test('status: accepted(run) replies with 202, Location, Retry-After and the status', async (t) => {
  const { start, url } = await createAppWithStatus(t, { retryAfter: 3 })
  const go = latch()
  const { run, response, body } = await start(async function resize () { await go })

  t.equal(response.status, 202)
  t.equal(response.headers.get('location'), `/tasks/${run.id}`)
  t.equal(response.headers.get('retry-after'), '3')
  t.equal(response.headers.get('cache-control'), 'no-store')
  t.strictSame(body, { id: run.id, name: 'resize', state: 'queued', attempt: 0, queuedAt: run.queuedAt })
  t.equal((await fetch(url + response.headers.get('location'))).status, 200)
  go.open()
})

t.test('status: GET says state, progress, attempt and times while the task is at work and when it is over', async (t) => {
  const { start, ask } = await createAppWithStatus(t)
  const go = latch()
  const { run } = await start(async function () {
    this.progress({ value: 0.5, message: 'half of it' })
    await go
  })
  await until(() => run.progress !== undefined)
  const during = await ask(run)
  go.open()
  await run.finished()
  const after = await ask(run)

  t.equal(during.status, 200)
  t.match(during.headers.get('content-type'), 'application/json')
  t.equal(during.headers.get('retry-after'), '1')
  t.equal(during.headers.get('cache-control'), 'no-store')
  t.strictSame(during.body, {
    id: run.id,
    name: 'anonymous',
    state: 'active',
    attempt: 1,
    progress: { value: 0.5, message: 'half of it' },
    queuedAt: run.queuedAt,
    startedAt: run.startedAt
  })
  t.equal(after.status, 200)
  t.equal(after.headers.get('retry-after'), null)
  t.match(after.body, { state: 'completed', attempt: 1, finishedAt: run.finishedAt })
})

t.test('status: an unknown id, what is no id, and a run that is not for the client look the same', async (t) => {
  const { start, ask } = await createAppWithStatus(t, { authorize: () => false })
  const { run } = await start(() => {})
  const answers = [run, { id: UNKNOWN }, { id: 'x' }, { id: '__proto__' }, { id: '%00' }, { id: UNKNOWN.toUpperCase() }]
  const [forbidden, ...others] = await Promise.all(answers.map((each) => ask(each)))

  t.equal(forbidden.status, 404)
  t.equal(forbidden.body.code, 'FST_ERR_BACKGROUND_RUN_NOT_FOUND')
  t.equal(forbidden.headers.get('cache-control'), 'no-store')
  for (const other of others) {
    t.equal(other.status, 404)
    t.strictSame(other.body, forbidden.body)
    t.strictSame([...other.headers.keys()], [...forbidden.headers.keys()])
  }
  const cancelled = await ask(run, { method: 'DELETE' })
  t.strictSame(cancelled.body, forbidden.body)
  t.equal((await ask({ id: UNKNOWN }, { method: 'DELETE' })).status, 404)
})

t.test('status: authorize decides by the request and the run, and nothing but true will do', async (t) => {
  const seen: unknown[] = []
  const answers: unknown[] = [true, Promise.resolve(true), 'yes', 1, {}, undefined, Promise.resolve(false)]
  const { start, ask } = await createAppWithStatus(t, {
    authorize (request, run) {
      seen.push([request.method, request.headers.user, run.name])
      return answers.shift() as boolean
    }
  })
  const { run } = await start(function named () {})
  const statuses = []
  for (let i = 0; i < 7; i++) statuses.push((await ask(run, { headers: { user: 'ada' } })).status)

  t.strictSame(statuses, [200, 200, 404, 404, 404, 404, 404])
  t.strictSame(seen[0], ['GET', 'ada', 'named'])
})

t.test('status: what authorize throws is the reply', async (t) => {
  const { start, ask } = await createAppWithStatus(t, {
    async authorize () { throw Object.assign(new Error('who are you?'), { statusCode: 401 }) }
  })
  const { run } = await start(() => {})

  t.match(await ask(run), { status: 401, body: { message: 'who are you?' } })
})

t.test('status: errors are shown only where asked for, without their stack', async (t) => {
  const fail = (): never => { throw Object.assign(new TypeError('the disk is full'), { code: 'ENOSPC', secret: 1 }) }
  const hiding = await createAppWithStatus(t)
  const showing = await createAppWithStatus(t, { exposeErrors: true })
  const hidden = await hiding.start(fail)
  const shown = await showing.start(fail)
  await Promise.all([hidden.run.finished(), shown.run.finished()])

  t.notOk('error' in (await hiding.ask(hidden.run)).body)
  t.strictSame((await showing.ask(shown.run)).body.error, { name: 'TypeError', message: 'the disk is full', code: 'ENOSPC' })
})

t.test('status: results are shown only where asked for, as JSON has them', async (t) => {
  const hiding = await createAppWithStatus(t)
  const showing = await createAppWithStatus(t, { exposeResult: true })
  const hidden = await hiding.start(() => ({ size: 1 }))
  const shown = await showing.start(() => ({ size: 1, at: new Date(0), list: [1, 'two'] }))
  await Promise.all([hidden.run.finished(), shown.run.finished()])

  t.notOk('result' in (await hiding.ask(hidden.run)).body)
  t.strictSame((await showing.ask(shown.run)).body.result, { size: 1, at: '1970-01-01T00:00:00.000Z', list: [1, 'two'] })
})

t.test('status: a task that returns { location } is answered by a 303 to there', async (t) => {
  const { start, ask } = await createAppWithStatus(t)
  const { run } = await start(async () => ({ location: '/images/1?size=2', secret: 'x' }))
  await run.finished()
  const { status, headers, body } = await ask(run)

  t.equal(status, 303)
  t.equal(headers.get('location'), '/images/1?size=2')
  t.match(body, { state: 'completed', location: '/images/1?size=2' })
  t.notOk('result' in body)
})

t.test('status: what cannot stand in a header is no location, and none is one with redirect: false', async (t) => {
  const { start, ask } = await createAppWithStatus(t)
  for (const location of ['/a\r\nset-cookie: x=1', '/a b', '/\u00e9', '', 1, null, {}]) {
    const { run } = await start(() => ({ location }))
    await run.finished()
    const { status, headers } = await ask(run)
    t.equal(status, 200, JSON.stringify(location))
    t.equal(headers.get('location'), null)
    t.equal(headers.get('set-cookie'), null)
  }
  const other = await createAppWithStatus(t, { redirect: false })
  const { run } = await other.start(() => ({ location: '/a' }))
  await run.finished()
  const { status, body } = await other.ask(run)
  t.equal(status, 200)
  t.notOk('location' in body)
})

t.test('status: DELETE cancels a run that is at work', async (t) => {
  const { start, ask } = await createAppWithStatus(t)
  const signals: AbortSignal[] = []
  const { run } = await start(function () {
    signals.push(this.signal)
    return new Promise(() => {})
  })
  await until(() => signals.length === 1)
  const { status, body } = await ask(run, { method: 'DELETE' })

  t.equal(status, 200)
  t.match(body, { id: run.id, state: 'cancelled' })
  t.ok(signals[0].aborted)
  t.equal(run.state, 'cancelled')
  t.equal((await ask(run, { method: 'DELETE' })).status, 200, 'once more changes nothing')
})

t.test('status: DELETE of a run that is over is a 409', async (t) => {
  const { start, ask } = await createAppWithStatus(t)
  const { run } = await start(() => {})
  await run.finished()
  const { status, body } = await ask(run, { method: 'DELETE' })

  t.equal(status, 409)
  t.match(body, { code: 'FST_ERR_BACKGROUND_RUN_FINISHED', message: 'The background task is over: completed' })
})

for (const [what, options, expected] of [
  ['that ended while it was decided who asks says what it ended as', {},
    { status: 409, body: { message: 'The background task is over: completed' } }],
  ['that was forgotten while it was decided who asks is a 404', { history: { count: 0 } },
    { status: 404, body: { code: 'FST_ERR_BACKGROUND_RUN_NOT_FOUND' } }]
] as const) {
  t.test(`status: DELETE of a run ${what}`, async (t) => {
    const [go, asked, decided] = [latch(), latch(), latch()]
    const { start, ask } = await createAppWithStatus(t, {
      async authorize () {
        asked.open()
        await decided
        return true
      }
    }, options)
    const { run } = await start(() => go)
    const answer = ask(run, { method: 'DELETE' })
    await asked
    go.open()
    await run.finished()
    decided.open()

    t.match(await answer, expected)
  })
}

t.test('status: DELETE says that a run is cancelled where the history keeps nothing', async (t) => {
  const { start, ask } = await createAppWithStatus(t, {}, { history: { count: 0 } })
  const { run } = await start(() => new Promise(() => {}))
  const { status, body } = await ask(run, { method: 'DELETE' })

  t.equal(status, 200)
  t.match(body, { id: run.id, state: 'cancelled' })
  t.equal((await ask(run)).status, 404)
})

t.test('status: HEAD has the headers of GET, and no stream', async (t) => {
  const { start, url } = await createAppWithStatus(t)
  const go = latch()
  const { run } = await start(() => go)
  const response = await fetch(`${url}/tasks/${run.id}`, { method: 'HEAD', headers: { accept: 'text/event-stream', prefer: 'wait=10' } })

  t.equal(response.status, 200)
  t.match(response.headers.get('content-type'), 'application/json')
  t.equal(response.headers.get('preference-applied'), null)
  t.equal(await response.text(), '')
  go.open()
})

t.test('status: hooks are those of its routes, in Fastify\'s order, and of no other', async (t) => {
  const calls: string[] = []
  const hook = (name: string) => async () => { calls.push(name) }
  const { start, ask } = await createAppWithStatus(t, {
    preHandler: hook('preHandler'),
    onRequest: [hook('onRequest'), (_request, _reply, done) => { calls.push('second'); done() }],
    preValidation: hook('preValidation'),
    preParsing: hook('preParsing')
  })
  const { run } = await start(() => {})
  t.strictSame(calls, [])
  await ask(run)

  t.strictSame(calls, ['onRequest', 'second', 'preParsing', 'preValidation', 'preHandler'])
})

t.test('status: a hook that turns the request away keeps the status to itself', async (t) => {
  const { start, ask } = await createAppWithStatus(t, {
    onRequest: async (_request, reply) => { await reply.code(401).send({ message: 'no' }) }
  })
  const { run } = await start(() => new Promise(() => {}))

  t.match(await ask(run), { status: 401, body: { message: 'no' } })
  t.match(await ask(run, { method: 'DELETE' }), { status: 401 })
  t.not(run.state, 'cancelled')
  run.cancel()
})

t.test('status: Location has the prefix of the instance and the plugin\'s own', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(async (api) => {
    await api.register(background)
    await api.register(status, { prefix: '/runs' })
    api.post('/start', (_request, reply) => reply.accepted(reply.background.addTask(() => {})))
  }, { prefix: '/api' })
  const { url } = await listen(app)
  const response = await fetch(`${url}/api/start`, { method: 'POST' })

  t.match(response.headers.get('location'), /^\/api\/runs\/[\da-f-]{36}$/)
  t.equal((await fetch(url + response.headers.get('location'))).status, 200)
})

t.test('status: Location has the parameters in the prefix of the instance as the request has them', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(background)
  await app.register(async (api) => {
    await api.register(status)
    api.post('/start', (_request, reply) => reply.accepted(reply.background.addTask(() => {})))
  }, { prefix: '/:tenant/v:version(^\\d+$)' })
  const { url } = await listen(app)
  const response = await fetch(`${url}/ada%20%26%20co%2F/v2/start`, { method: 'POST' })

  t.match(response.headers.get('location'), /^\/ada%20%26%20co%2F\/v2\/tasks\/[\da-f-]{36}$/)
  t.equal((await fetch(url + response.headers.get('location'))).status, 200)
})

t.test('status: Location is a path of this host, whatever the prefix of the instance and its parameters', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(background)
  for (const prefix of ['/:tenant', '/задачи']) {
    await app.register(async (api) => {
      await api.register(status)
      api.post('/start', (_request, reply) => reply.accepted(reply.background.addTask(() => {})))
    }, { prefix })
  }
  const [empty, letters] = [await app.inject({ method: 'POST', url: '//start' }), await app.inject({ method: 'POST', url: encodeURI('/задачи/start') })]

  t.match(empty.headers.location, /^\/tasks\/[\da-f-]{36}$/)
  t.ok(letters.headers.location!.startsWith(encodeURI('/задачи/tasks/')))
  t.equal((await app.inject(letters.headers.location!)).statusCode, 200)
})

t.test('status: Location is a path of this host where the routes have no prefix of their own, too', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(background)
  await app.register(async (api) => {
    await api.register(status, { prefix: '' })
    api.post('/start', (_request, reply) => reply.accepted(reply.background.addTask(() => {})))
  }, { prefix: '/:tenant' })
  const { headers } = await app.inject({ method: 'POST', url: '//start' })

  t.match(headers.location, /^\/[\da-f-]{36}$/)
})

t.test('status: a reply that was accepted and fails nonetheless has neither Location nor Retry-After of its own', async (t) => {
  const { app } = await createAppWithStatus(t, {}, {}, {}, (app) => {
    app.addHook('onSend', async (request, _reply, payload) => {
      if (request.headers.fails !== undefined) throw Object.assign(new Error('away'), { statusCode: 503, headers: { 'retry-after': '7' } })
      return payload
    })
    app.post('/accepted', (_request, reply) => reply.accepted(reply.background.addTask(() => {})))
    app.post('/other', async (_request, reply) => {
      reply.code(202).header('location', '/there')
      throw new Error('of another kind')
    })
  })
  const ask = async (url: string, headers = {}): Promise<unknown[]> => {
    const { statusCode, headers: { location, 'retry-after': retryAfter } } = await app.inject({ method: 'POST', url, headers })
    return [statusCode, typeof location, retryAfter]
  }

  t.strictSame(await ask('/accepted'), [202, 'string', '1'])
  t.strictSame(await ask('/accepted', { fails: '' }), [503, 'undefined', '7'], 'that of the error is')
  t.strictSame(await ask('/other'), [500, 'string', undefined], 'headers of others stay')
})

t.test('status: DELETE takes no body, whatever type it is said to be of', async (t) => {
  const { start, ask } = await createAppWithStatus(t)
  for (const type of ['application/json', 'application/x-www-form-urlencoded', 'text/plain']) {
    for (const body of [undefined, 'a body']) {
      const { run } = await start(() => new Promise(() => {}))
      t.match(await ask(run, { method: 'DELETE', headers: { 'content-type': type }, body }), { status: 200, body: { state: 'cancelled' } }, type)
    }
  }
})

t.test('status: in two contexts it shows the same runs, each time with its own options', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(background)
  await app.register(async (all) => { await all.register(status) })
  await app.register(async (admin) => { await admin.register(status, { prefix: '/admin', exposeErrors: true }) })
  const { id } = await app.background.addTask(() => { throw new Error('broken') }).finished()

  t.notOk('error' in (await app.inject(`/tasks/${id}`)).json())
  t.match((await app.inject(`/admin/${id}`)).json(), { error: { message: 'broken' } })
})

t.test('status: accepted() takes a run and nothing else', async (t) => {
  const given: unknown[] = [undefined, null, 'id', {}, { id: 'x' }]
  const { app } = await createAppWithStatus(t, {}, {}, {}, (app) => {
    app.post('/wrong', (_request, reply) => reply.accepted(given.shift() as never))
  })
  while (given.length > 0) {
    const response = await app.inject({ method: 'POST', url: '/wrong' })
    t.equal(response.statusCode, 500)
    t.equal(response.json().code, 'FST_ERR_BACKGROUND_INVALID_TASK')
  }
})

t.test('status: it needs fastify-background', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await t.rejects(async () => { await app.register(status) }, { message: /fastify-background/ })
})

t.test('status: the plugin is the export, the default and a named one', async (t) => {
  t.equal(status.default, status)
  t.equal(status.status, status)
})

t.test('status: called as a function, it is the plugin', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(background)
  await status(app, {})
  t.ok(app.hasReplyDecorator('accepted'))
})
