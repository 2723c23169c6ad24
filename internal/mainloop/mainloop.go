// Package mainloop runs the emulator's event loop: posted functions, timers and the machine lock under which device models run.
package mainloop

import "sync"

// Lock is the machine lock. Device models, the main loop's callbacks and a vCPU's device accesses run under it. Not reentrant.
var Lock sync.Mutex
