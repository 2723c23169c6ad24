package e1000e

import (
	"goemu/internal/clock"
	"goemu/internal/mainloop"
)

// delay is a timer whose time a register gives.
type delay struct {
	d       *Device
	reg     int
	ns      int64 // of a unit
	timer   *clock.Timer
	running bool
}

func (t *delay) init(d *Device, reg int, ns int64, f func()) {
	*t = delay{d: d, reg: reg, ns: ns}
	t.timer = mainloop.NewTimer(clock.Virtual, func() {
		t.running = false
		f()
	})
}

func (t *delay) start() {
	t.timer.Mod(clock.Virtual.Now() + int64(t.d.mac[t.reg])*t.ns)
	t.running = true
}

func (t *delay) stop() {
	t.timer.Del()
	t.running = false
}

// holds tells whether an interrupt has to wait for the throttle; else it starts the throttle, if there is one.
func (t *delay) holds(pending *bool) bool {
	if t.running {
		*pending = true
		return true
	}
	if t.d.mac[t.reg] != 0 {
		t.start()
	}
	return false
}

// initTimers makes the timers that delay and throttle interrupts.
func (d *Device) initTimers() {
	fire := func() { d.raise(0) }
	for _, t := range []struct {
		t   *delay
		reg int
	}{{&d.rdtr, regRDTR}, {&d.radv, regRADV}, {&d.raid, regRAID}, {&d.tadv, regTADV}, {&d.tidv, regTIDV}} {
		t.t.init(d, t.reg, delayNS, fire)
	}
	d.itr.init(d, regITR, throttleNS, d.throttleOver)
	for n := range d.eitr {
		d.eitr[n].init(d, regEITR+n, throttleNS, func() { d.vectorFree(n) })
	}
}

// delays are the timers that put interrupts off.
func (d *Device) delays() []*delay { return []*delay{&d.radv, &d.rdtr, &d.raid, &d.tidv, &d.tadv} }

// timers are all.
func (d *Device) timers() []*delay {
	list := append(d.delays(), &d.itr)
	for n := range d.eitr {
		list = append(list, &d.eitr[n])
	}
	return list
}

func (d *Device) throttleOver() {
	if !d.itrPending || d.MSIXEnabled() {
		return
	}
	if d.MSIEnabled() {
		d.told = 0
	}
	d.raise(0)
}

func (d *Device) vectorFree(n int) {
	if d.eitrPending[n] && d.MSIXEnabled() {
		d.NotifyMSIX(n)
	}
}

// collect ends the delays and returns the causes that were put off.
func (d *Device) collect() uint32 {
	v := d.delayed
	d.delayed = 0
	for _, t := range d.delays() {
		if t.running {
			t.stop()
		}
	}
	return v
}

// raise adds causes of interrupts.
func (d *Device) raise(causes uint32) {
	d.mac[regICR] |= causes | d.collect()
	d.updateInterrupts()
}

// updateInterrupts drives the line, or sends messages, as the causes and their mask ask (section 7.4).
func (d *Device) updateInterrupts() {
	msix := d.MSIXEnabled()
	icr := &d.mac[regICR]
	if msix && *icr&irqOthers != 0 {
		*icr |= irqOther
	}
	if *icr &^= irqAsserted; *icr != 0 {
		*icr |= irqAsserted
	}
	d.mac[regICS] = *icr
	pending := d.mac[regIMS]&*icr != 0
	if !pending {
		d.told = 0
	}
	switch {
	case msix || d.MSIEnabled():
		if pending {
			d.sendMessages(msix)
		}
	case !pending:
		d.SetINTx(false)
	case !d.itr.holds(&d.itrPending):
		d.count(regIAC)
		d.SetINTx(true)
	}
}

// sendMessages sends messages for causes of which the guest has not been told.
func (d *Device) sendMessages(msix bool) {
	causes := d.mac[regICR] & d.mac[regIMS] &^ irqAsserted
	d.told &= causes
	causes &^= d.told
	if causes == 0 {
		return
	}
	d.told |= causes
	if !msix {
		if !d.itr.holds(&d.itrPending) {
			d.NotifyMSI(0)
		}
		return
	}
	for n := range vectorCauses {
		if causes&vectorCauses[n] != 0 {
			d.sendVector(n)
		}
	}
}

// vectorCauses are the causes that have a vector, in the order of their fields in IVAR (section 10.2.4.9).
var vectorCauses = [...]uint32{irqRXQ0, irqRXQ1, irqTXQ0, irqTXQ1, irqOther}

// vector is the vector of one of vectorCauses.
func (d *Device) vector(n int) (v int, ok bool) {
	f := d.mac[regIVAR] >> (4 * n)
	v = int(f & ivarVector)
	return v, f&ivarValid != 0 && v < numVectors
}

func (d *Device) sendVector(n int) {
	if v, ok := d.vector(n); ok && !d.eitr[v].holds(&d.eitrPending[v]) {
		d.NotifyMSIX(v)
	}
	cause := vectorCauses[n]
	if d.mac[regCTRLEXT]&extEIAME != 0 {
		d.mac[regIAM] &^= cause
	}
	clear := d.mac[regEIAC] & cause
	d.mac[regICR] &^= clear
	d.told &^= clear
	if d.mac[regCTRLEXT]&extIAME == 0 {
		d.mac[regIMS] &^= clear
	}
}

// readICR acknowledges interrupts.
func (d *Device) readICR() uint32 {
	v := d.mac[regICR]
	switch {
	case d.mac[regIMS] == 0 || !d.MSIXEnabled():
		d.mac[regICR] = 0
	case v&irqAsserted != 0 && d.mac[regCTRLEXT]&extIAME != 0:
		d.mac[regICR] = 0
		d.mac[regIMS] &^= d.mac[regIAM]
	}
	d.updateInterrupts()
	return v
}

func (d *Device) writeICR(v uint32) {
	if d.mac[regICR]&irqAsserted != 0 && d.mac[regCTRLEXT]&extIAME != 0 {
		d.mac[regIMS] &^= d.mac[regIAM]
	}
	d.mac[regICR] &^= v
	if v&irqOther != 0 { // drivers expect that
		d.mac[regICR] &^= irqOthers
	}
	d.updateInterrupts()
}

func (d *Device) writeIMS(v uint32) {
	v &= irqValid
	d.mac[regIMS] |= v
	if v&irqQueues != 0 && d.mac[regCTRLEXT]&extPBAClear != 0 && d.MSIXEnabled() {
		for n := range vectorCauses {
			if vec, ok := d.vector(n); ok && v&vectorCauses[n] != 0 {
				d.ClearVector(vec)
			}
		}
	}
	if v == irqValid && d.mac[regCTRLEXT]&extTimersClear != 0 {
		d.fireAll()
	}
	d.updateInterrupts()
}

// fireAll ends everything that delays interrupts.
func (d *Device) fireAll() {
	d.mac[regICR] |= d.collect()
	if d.itr.running {
		d.itr.stop()
		d.throttleOver()
	}
	for n := range d.eitr {
		if d.eitr[n].running {
			d.eitr[n].stop()
			d.vectorFree(n)
		}
	}
}

// clearPending takes back vectors that are pending.
func (d *Device) clearPending(v uint32) {
	d.mac[regPBACLR] = v & (1<<numVectors - 1)
	if !d.MSIXEnabled() {
		return
	}
	for n := range numVectors {
		if v>>n&1 != 0 {
			d.ClearVector(n)
		}
	}
}

// delayRX puts causes of the receiver off if the driver allows that and nothing else is to be told; it returns what is to be told now.
func (d *Device) delayRX(causes uint32) (now uint32, put bool) {
	if d.MSIXEnabled() {
		return causes, false
	}
	can := uint32(irqRXQ0 | irqRXQ1 | irqRXT0)
	if d.mac[regRFCTL]&rfctlNoACK == 0 {
		can |= irqACK
	}
	d.delayed |= causes & can
	causes &^= can
	ack := d.delayed&irqACK != 0
	if d.mac[regRDTR] == 0 || causes != 0 || d.mac[regRAID] == 0 && ack {
		return causes, false
	}
	d.rdtr.start()
	if !d.radv.running && d.mac[regRADV] != 0 {
		d.radv.start()
	}
	if !d.raid.running && ack {
		d.raid.start()
	}
	return causes, true
}

// delayTX is delayRX for the transmitter.
func (d *Device) delayTX(causes uint32) (now uint32, put bool) {
	if d.MSIXEnabled() {
		return causes, false
	}
	const can = irqTXQ0 | irqTXQ1 | irqTXQE | irqTXDW
	d.delayed |= causes & can
	if causes &^= can; causes != 0 {
		return causes, false
	}
	d.tidv.start()
	if !d.tadv.running && d.mac[regTADV] != 0 {
		d.tadv.start()
	}
	return 0, true
}
