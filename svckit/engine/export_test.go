package engine

// Kill ends the engine as a crash would.
func (e *Engine) Kill() error { return e.process.cmd.Process.Kill() }
