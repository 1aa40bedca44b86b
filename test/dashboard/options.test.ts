import Fastify from 'fastify'
import t, { type Test } from 'tap'
import type { DashboardOptions } from '../../lib/dashboard/options'
import background from '../../lib/index'
import { createDashboard, dashboard } from '../helpers/dashboard'

const hook = async (): Promise<void> => {}

async function refused (t: Test, options: object): Promise<Error & { code: string }> {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(background)
  return await app.register(dashboard, options as DashboardOptions).then(() => { throw new Error('accepted') }, (error) => error)
}

t.test('without an authentication hook it is refused, in words that say what to do', async (t) => {
  for (const options of [{}, { allowAnonymous: false }, { prefix: '/tasks' }]) {
    t.match(await refused(t, options), {
      code: 'FST_ERR_BACKGROUND_INVALID_OPTION',
      message: 'Option "onRequest": expected a hook that authenticates (onRequest, preValidation or preHandler), or "allowAnonymous: true", got none'
    })
  }
})

t.test('one of the three hooks is enough, as a function or as a list', async (t) => {
  for (const options of [{ onRequest: hook }, { preValidation: [hook] }, { preHandler: [hook, hook] }, { allowAnonymous: true }]) {
    const app = await createDashboard(t, { dashboard: options })
    t.equal((await app.inject('/background/')).statusCode, 200)
  }
})

t.test('an option that is wrong or unknown is refused by its name', async (t) => {
  const wrong: Array<[object, RegExp]> = [
    [{ onRequest: [] }, /"onRequest": expected a function, or a list of at least one, got an empty list/],
    [{ preHandler: 'auth' }, /"preHandler".*got "auth"/],
    [{ preValidation: [hook, null] }, /"preValidation"/],
    [{ allowAnonymous: 'yes' }, /"allowAnonymous": expected true or false, got "yes"/],
    [{ onRequest: hook, showArguments: 1 }, /"showArguments"/],
    [{ onRequest: hook, prefix: 'background' }, /"prefix": expected a path without a slash at its end/],
    [{ onRequest: hook, prefix: '/background/' }, /"prefix"/],
    [{ onRequest: hook, logLevel: 3 }, /"logLevel"/],
    [{ onRequest: hook, logSerializers: 'req' }, /"logSerializers": expected an object/],
    [{ onRequest: hook, showArgs: true }, /"showArgs": expected one of .*'showArguments'/]
  ]
  for (const [options, message] of wrong) t.match(await refused(t, options), { code: 'FST_ERR_BACKGROUND_INVALID_OPTION', message })
})

t.test('without fastify-background it is refused', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await t.rejects(async () => await app.register(dashboard, { allowAnonymous: true }), /fastify-background/)
})

t.test('it is under its prefix, below that of its scope', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(async (scope) => {
    await scope.register(background)
    await scope.register(dashboard, { prefix: '/tasks', allowAnonymous: true })
  }, { prefix: '/admin' })
  t.equal((await app.inject('/admin/tasks/')).statusCode, 200)
  t.equal((await app.inject('/admin/tasks')).headers.location, 'tasks/')
  t.equal((await app.inject('/background/')).statusCode, 404)
})

t.test('an empty prefix is the root', async (t) => {
  const app = await createDashboard(t, { dashboard: { prefix: '', allowAnonymous: true } })
  t.match((await app.inject('/')).headers['content-type'], 'text/html')
  t.equal((await app.inject('/page.js')).statusCode, 200)
})

t.test('logLevel is that of its requests alone', async (t) => {
  const lines: string[] = []
  const app = await createDashboard(t, {
    server: { logger: { level: 'info', stream: { write (line: string) { lines.push(line) } } } },
    dashboard: { allowAnonymous: true, logLevel: 'warn' }
  })
  await app.inject('/background/')
  t.strictSame(lines, [])
  await app.inject('/nothing')
  t.not(lines.length, 0)
})

t.test('logSerializers are those of its requests alone', async (t) => {
  const lines: Array<{ req?: unknown }> = []
  const app = await createDashboard(t, {
    server: { logger: { level: 'info', stream: { write (line: string) { lines.push(JSON.parse(line)) } } } },
    dashboard: { allowAnonymous: true, logSerializers: { req: () => 'hidden' } }
  })
  const requests = async (url: string): Promise<unknown[]> => {
    lines.length = 0
    await app.inject(url)
    return lines.flatMap(({ req }) => req ?? [])
  }
  t.strictSame(await requests('/background/'), ['hidden'])
  t.match(await requests('/nothing'), [{ url: '/nothing' }])
})
