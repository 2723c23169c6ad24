package netdev

import "time"

// Arriver is a port that reads frames from the host on a goroutine of its own.
type Arriver interface {
	// Arrived tells whether all that the host has for the port is at its peer, or waits for room there.
	Arrived() bool
}

// settleLimit is how long Settle waits, settleStep how long between two looks.
const (
	settleLimit = 100 * time.Millisecond
	settleStep  = 20 * time.Microsecond
)

// Settle waits until what the host has sent has arrived: for clients that drive the machine step by step, in which no time passes.
// Preconditions: the machine lock is not held.
func (s *Set) Settle() {
	end := time.Now().Add(settleLimit)
	for _, c := range s.Clients() {
		a, ok := c.port.(Arriver)
		for ok && !a.Arrived() && time.Now().Before(end) {
			time.Sleep(settleStep)
		}
	}
}
