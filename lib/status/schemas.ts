import type { FastifySchema } from 'fastify'

const TAGS = ['background tasks']

const time = { type: 'integer', description: 'Milliseconds since the epoch' }

const status = {
  type: 'object',
  description: 'The status of a background task',
  required: ['id', 'name', 'state', 'attempt', 'queuedAt'],
  properties: {
    id: { type: 'string' },
    name: { type: 'string' },
    state: {
      type: 'string',
      enum: ['queued', 'active', 'retrying', 'completed', 'failed', 'discarded', 'cancelled', 'stored']
    },
    attempt: { type: 'integer', description: 'The number of the attempt, from 1; 0 before the first' },
    progress: {
      type: 'object',
      required: ['value'],
      properties: { value: { type: 'number', minimum: 0, maximum: 1 }, message: { type: 'string' } }
    },
    queuedAt: time,
    startedAt: time,
    finishedAt: time,
    error: {
      type: 'object',
      required: ['name', 'message'],
      properties: { name: { type: 'string' }, message: { type: 'string' }, code: { type: 'string' } }
    },
    result: { description: 'What the task returned' },
    location: { type: 'string', description: 'Where the result is' }
  }
}

const error = {
  type: 'object',
  properties: {
    statusCode: { type: 'integer' }, code: { type: 'string' }, error: { type: 'string' }, message: { type: 'string' }
  }
}

const params = {
  type: 'object',
  required: ['id'],
  properties: { id: { type: 'string', description: 'The id of the task, a UUID' } }
}

const notFound = { ...error, description: 'There is no such task, or it is not for this client' }
const away = { ...error, description: 'It cannot be said for now: ask again later' }

export const GET_SCHEMA: FastifySchema = {
  tags: TAGS,
  summary: 'The status of a background task',
  description: 'As JSON or, with "Accept: text/event-stream", as events: the status at each change, and at its end an event ' +
    '"end". "Prefer: wait=10" waits for the end.',
  // Read by Swagger 2.0 and by OpenAPI 3; a response's "content" is of the latter alone.
  produces: ['application/json', 'text/event-stream'],
  params,
  headers: {
    type: 'object',
    properties: {
      prefer: { type: 'string', description: 'wait=N: waits for the end of the task, N seconds at most' },
      'last-event-id': { type: 'string', description: 'The last event that was seen of a stream' }
    }
  },
  response: {
    200: status,
    204: { type: 'null', description: 'Of a stream: the listener has seen the end' },
    303: { ...status, description: 'The task has completed, and its result is at Location' },
    404: notFound,
    503: away
  }
} as FastifySchema

export const DELETE_SCHEMA: FastifySchema = {
  tags: TAGS,
  summary: 'Cancels a background task',
  params,
  response: {
    200: { ...status, description: 'It is cancelled' },
    202: { ...status, description: 'It is about to be cancelled, by the process that is at it' },
    404: notFound,
    409: { ...error, description: 'It was over before' },
    503: away
  }
} as FastifySchema
