export { threadTask, type ThreadFunction, type ThreadTaskOptions } from './thread-task'
export { threads, type ThreadsOptions } from './plugin'
