// The policies of policies.ts, as index.ts tries them.
import assert from 'node:assert'
import { once } from 'node:events'
import type { FastifyInstance } from 'fastify'
import { post, registration } from './client'
import type { Mail, Mailbox } from './mailbox'
import type { Partner } from './partner'
import type { Timeline } from './timeline'

export interface PoliciesStage {
  timeline: Timeline
  mails: Mail[]
  mailbox: Mailbox
  partner: Partner
  policies: FastifyInstance
  policiesUrl: string
}

export async function tryPolicies (stage: PoliciesStage): Promise<void> {
  await tryRetries(stage)
  await tryTimeout(stage)
  await tryCancel(stage)
  await tryLimits(stage)
}

async function tryRetries ({ timeline, mails, mailbox, policies, policiesUrl }: PoliciesStage): Promise<void> {
  timeline.title('A mail server that refuses the mail twice',
    "defineTask(sendEmailNotification, { name: 'send-email', retries: 4, … })")
  const before = mails.length
  mailbox.refuseNext(2)
  await post(201, `${policiesUrl}/accounts`, registration('katherine@example.com'))
  await policies.background.idle()

  assert(mails.length === before + 1, `expected 1 mail in the end, got ${mails.length - before}`)
}

async function tryTimeout ({ timeline, partner, policies, policiesUrl }: PoliciesStage): Promise<void> {
  timeline.title('A call that hangs, with a time-out',
    "defineTask(callWebhook, { name: 'webhook', timeout: 250 })")
  const hungUp = once(partner.calls, 'gone')
  await post(202, `${policiesUrl}/orders`)
  await policies.background.idle()
  await hungUp

  const { failed } = policies.background.stats()
  assert(failed === 1, `expected 1 task to fail, got ${failed}`)
}

async function tryCancel ({ timeline, partner, policies, policiesUrl }: PoliciesStage): Promise<void> {
  timeline.title('An import that hangs, and is cancelled', 'app.background.get(id)?.cancel()')
  const hangs = once(partner.calls, 'hangs')
  const hungUp = once(partner.calls, 'gone')
  const { taskId } = await post(202, `${policiesUrl}/imports`)
  await hangs
  const { status } = await fetch(`${policiesUrl}/tasks/${taskId}`, { method: 'DELETE' })
  assert(status === 204, `DELETE /tasks/:id: expected 204, got ${status}`)
  await hungUp

  const { cancelled } = policies.background.stats()
  assert(cancelled === 1, `expected 1 task to be cancelled, got ${cancelled}`)
}

async function tryLimits ({ timeline, mails, mailbox, policies, policiesUrl }: PoliciesStage): Promise<void> {
  timeline.title('Four at once, with room for three', 'app.register(background, { concurrency: 2, maxPending: 3 })')
  const before = mails.length
  const letIn = mailbox.hold()
  const emails = ['annie@example.com', 'hedy@example.com', 'radia@example.com', 'sophie@example.com']
  const replies = await Promise.all(emails.map(async (email) => {
    const { status, headers } = await fetch(`${policiesUrl}/accounts`, { method: 'POST', ...registration(email) })
    return { email, status, retryAfter: headers.get('retry-after') }
  }))
  const refused = replies.filter(({ status }) => status === 503)
  for (const { email, retryAfter } of refused) timeline.row('client', `${email} is to try again after ${retryAfter} s`)

  // No need to sit it out here, where we can see when there is room again.
  letIn()
  await policies.background.idle()
  for (const { email } of refused) await post(201, `${policiesUrl}/accounts`, registration(email))
  await policies.background.idle()

  assert(refused.length === 1, `expected one reply of four to be a 503, got ${refused.length}`)
  assert(mails.length === before + 4, `expected 4 mails in the end, got ${mails.length - before}`)
}
