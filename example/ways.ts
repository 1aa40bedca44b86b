// The routes of register.ts, as index.ts tries them.

const ADMIN = 'admin@example.com'

/** A way to add tasks, and what has to come of it. */
export interface Way {
  title: string
  code: string
  path: string
  email: string
  mailsTo: string[]
  lines: number
}

export const WAYS: Way[] = [
  {
    title: 'Several tasks on the reply',
    code: 'reply.background.addTask(sendMail, …); reply.background.addTask(writeLine, …)',
    path: '/register',
    email: 'ada@example.com',
    mailsTo: ['ada@example.com'],
    lines: 1
  },
  {
    title: 'One task on the reply',
    code: "reply.background.addTask(sendMail, email, 'Welcome')",
    path: '/reply/task',
    email: 'grace@example.com',
    mailsTo: ['grace@example.com'],
    lines: 0
  },
  {
    title: 'A list on the reply',
    code: 'reply.background.addTasks([mailTask, lineTask])',
    path: '/reply/list',
    email: 'alan@example.com',
    mailsTo: ['alan@example.com'],
    lines: 1
  },
  {
    title: 'A group on the reply, then one more task',
    code: 'reply.background.addTasks(new BackgroundTasks([…], { concurrency: 2 }))',
    path: '/reply/group',
    email: 'barbara@example.com',
    mailsTo: ['barbara@example.com', ADMIN],
    lines: 1
  },
  {
    title: 'One task on the route',
    code: "background: new BackgroundTask(sendMail, ADMIN, 'New account')",
    path: '/route/task',
    email: 'edsger@example.com',
    mailsTo: [ADMIN],
    lines: 0
  },
  {
    title: 'A list on the route',
    code: 'background: [mailTask, lineTask]',
    path: '/route/list',
    email: 'margaret@example.com',
    mailsTo: [ADMIN],
    lines: 1
  },
  {
    title: 'A function on the route',
    code: 'background: async function welcome (request) { … }',
    path: '/route/function',
    email: 'tony@example.com',
    mailsTo: ['tony@example.com'],
    lines: 0
  },
  {
    title: 'A function on the route that returns the task',
    code: 'background: (request) => new BackgroundTask(sendMail, request.body.email, …)',
    path: '/route/returns-task',
    email: 'frances@example.com',
    mailsTo: ['frances@example.com'],
    lines: 0
  }
]
