import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import dashboard from '../../lib/dashboard/dashboard'
import type { Frame, ListName, ShownRun } from '../../lib/dashboard/frame'
import background from '../../lib/index'
import { listen } from './app'
import { ROOT } from './docs'

// A build may be missing, or older than what is tested.
execFileSync(process.execPath, [join(ROOT, 'scripts', 'page.mjs')])

export { dashboard }

interface Test { teardown: (fn: () => unknown) => void }

export interface Settings {
  background?: background.BackgroundOptions
  dashboard?: dashboard.DashboardOptions
  server?: FastifyServerOptions
  /** What was registered before. */
  before?: (app: FastifyInstance) => unknown
}

/** A fresh app with a dashboard that anybody may see, where nothing else is said. */
export async function createDashboard (t: Test, settings: Settings = {}): Promise<FastifyInstance> {
  const app = Fastify(settings.server)
  t.teardown(() => app.close())
  await settings.before?.(app)
  await app.register(background, settings.background ?? {})
  await app.register(dashboard, settings.dashboard ?? { allowAnonymous: true })
  return app
}

/** What the page sends with a change. */
export const OWN = { 'content-type': 'application/json', 'x-background-dashboard': '1' }

export interface Sent { event: string, frame: Frame }

/** One that listens to the feed, and takes it frame by frame. */
export interface FeedClient {
  response: Response
  /** Rejects where the feed has ended. */
  next: () => Promise<Sent>
  /** The first frame from here on that is as it should be. */
  until: (holds: (frame: Frame) => boolean) => Promise<Frame>
  leave: () => void
}

export async function openFeed (t: Test, app: FastifyInstance): Promise<FeedClient> {
  const url = app.server.listening ? app.listeningOrigin : (await listen(app)).url
  const abort = new AbortController()
  t.teardown(() => abort.abort())
  const response = await fetch(`${url}/background/feed`, { signal: abort.signal })
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  async function next (): Promise<Sent> {
    while (!text.includes('\n\n')) {
      const { value, done } = await reader.read()
      if (done) throw new Error('the feed has ended')
      text += value
    }
    const end = text.indexOf('\n\n')
    const [, event, data] = /^event: (\w+)\ndata: (.*)$/.exec(text.slice(0, end))!
    text = text.slice(end + 2)
    return { event, frame: JSON.parse(data) as Frame }
  }
  return {
    response,
    next,
    async until (holds) {
      for (;;) {
        const { frame } = await next()
        if (holds(frame)) return frame
      }
    },
    leave: () => abort.abort()
  }
}

/** The list as the server gives it to who asks for all. */
export async function listed (app: FastifyInstance, list: ListName): Promise<readonly ShownRun[]> {
  return (await app.inject(`/background/runs?list=${list}`)).json().runs
}
