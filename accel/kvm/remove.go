package kvm

import (
	"fmt"
	"time"
)

// Remove takes a CPU out. It ends when it is between two instructions: it may be the one that executes the call, or wait for a lock that
// the caller holds. Until then it is one of the CPUs. The kernel keeps it, for a CPU of the same identifier that comes later.
func (a *Accel) Remove(c *CPU) {
	if !c.gate.Remove() {
		a.forget(c)
	}
}

// forget drops a CPU that executes nothing any more.
func (a *Accel) forget(c *CPU) {
	a.gate.Drop(c, func() { a.spare[c.apicID] = c })
	close(c.gone)
}

// endTime is how long a CPU that has been removed may take to end before another one of its identifier is refused. It waits for nothing
// unless the guest removes it in the middle of an access to a device.
const endTime = time.Second

// revive makes a CPU that has been removed a new one; nil if there was none of the identifier.
func (a *Accel) revive(apicID uint32) (*CPU, error) {
	for _, c := range a.list() {
		if c.apicID != apicID || !c.gate.Removed() {
			continue
		}
		select {
		case <-c.gone:
		case <-time.After(endTime):
			return nil, fmt.Errorf("the CPU with APIC ID %d that was removed has not ended yet", apicID)
		}
	}
	var c *CPU
	a.gate.Locked(func() {
		c = a.spare[apicID]
		delete(a.spare, apicID)
	})
	if c == nil {
		return nil, nil
	}
	c.lines.Store(0)
	c.thread.Store(0)
	c.gate.Renew()
	c.gone = make(chan struct{})
	return c, nil
}
