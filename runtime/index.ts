// The exports for handler authors. Bundled into every function, so it stays small: no library, no side
// effect.
import type { UserConfig } from './config/options.ts'
import type { FunctionDefinition, Untyped } from './protocol/handler.ts'

/**
 * The typed identity: gives `handler` its types. A plain object or a bare function as default export works
 * too.
 */
export function defineFunction<Content = Untyped>(
  definition: FunctionDefinition<Content>,
): FunctionDefinition<Content> {
  return definition
}

/** The typed identity for nanoclaw.config.ts. */
export function defineConfig(config: UserConfig): UserConfig {
  return config
}

export type { UserConfig } from './config/options.ts'
export type { Duration } from './protocol/duration.ts'
export { NanoclawError, NonRetryableError, RetryAfterError, StepFailed } from './protocol/errors.ts'
export type {
  Context,
  FunctionDefinition,
  Handler,
  HandlerMessage as Message,
  Json,
  Logger,
  On,
  ReplyOptions,
  Retry,
  StepOptions,
  StepTools,
  Stored,
  Untyped,
} from './protocol/handler.ts'
