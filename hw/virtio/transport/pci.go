package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"goemu/hw/pci"
	"goemu/hw/qdev"
	"goemu/hw/virtio"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
)

// autoVectors leaves the number of MSI-X vectors to the device type.
const autoVectors = 0xffffffff

// PCIProps are the options of every virtio-…-pci device.
type PCIProps struct {
	MasterLate      bool `prop:"virtio-pci-bus-master-bug-migration,default=off" help:"on/off"` // a loaded state may lack the switch of bus mastering
	MigrateExtra    bool `prop:"migrate-extra,default=on" help:"on/off"`
	ModernPIONotify bool `prop:"modern-pio-notify,default=off" help:"on/off"`
	DisableExpress  bool `prop:"x-disable-pcie,default=off" help:"on/off"`
	PagePerVQ       bool `prop:"page-per-vq,default=off" help:"on/off"`
	IgnoreBackend   bool `prop:"x-ignore-backend-features,default=false"` // be modern though the back end is not
	Translations    bool `prop:"ats,default=off" help:"on/off"`
	WholePages      bool `prop:"x-ats-page-aligned,default=on" help:"on/off"` // requests for translations are for whole pages
	ErrorControl    bool `prop:"x-pcie-deverr-init,default=on" help:"on/off"`
	LinkControl     bool `prop:"x-pcie-lnkctl-init,default=on" help:"on/off"`
	PowerStates     bool `prop:"x-pcie-pm-init,default=on" help:"on/off"`
	FunctionResets  bool `prop:"x-pcie-flr-init,default=on" help:"on/off"`
	Errors          bool `prop:"aer,default=off" help:"on/off"`
}

// ModeProps choose the interfaces of a device whose type name does not.
type ModeProps struct {
	DisableLegacy qdev.OnOffAuto `prop:"disable-legacy,default=auto" help:"on/off/auto"`
	DisableModern bool           `prop:"disable-modern,default=false"`
}

// PCIBase is the common part of all virtio-…-pci devices.
type PCIBase struct {
	pci.Device
	PCIProps

	layout
	legacy, modern bool
	typ            virtio.Type
	dev            *virtio.Device
	vectors        uint32 // asked for
	nvectors       int
	doorbells      bool // notifications may be posted writes

	cfgCap        int // place of the access window's capability
	bar           *memory.Region
	dfSelect      uint32
	gfSelect      uint32
	guestFeatures [2]uint32
}

// setMode decides which interfaces there are.
func (p *PCIBase) setMode(mode ModeProps) error {
	p.legacy, p.modern = mode.DisableLegacy == qdev.Off || mode.DisableLegacy == qdev.Auto && !p.behindPort(), !mode.DisableModern
	if !p.legacy && !p.modern {
		return errors.New("device cannot work as neither modern nor legacy mode is enabled\nSet either disable-modern or disable-legacy to off")
	}
	return nil
}

// behindPort tells whether the device is behind a port of PCI Express.
func (p *PCIBase) behindPort() bool {
	b, ok := p.Parent().(*pci.Bus)
	return ok && b.Express() && !b.Root()
}

// express tells whether the device is an endpoint of PCI Express.
func (p *PCIBase) express() bool { return p.behindPort() && p.modern && !p.DisableExpress }

// addExpress adds the capabilities of a device behind a port.
func (p *PCIBase) addExpress() error {
	if !p.express() {
		return nil
	}
	if _, err := p.AddExpress(0, pci.ExpressEndpoint, 0); err != nil {
		return err
	}
	at := pci.ConfigSize
	if p.Errors {
		p.AddErrorReporting(at, false)
		at += pci.ErrorsSize
	}
	if p.ErrorControl {
		p.AddErrorControl()
	}
	if p.LinkControl {
		p.AddLinkControl()
	}
	if p.Translations {
		p.AddTranslations(at, p.WholePages)
	}
	if p.FunctionResets {
		p.AddFunctionReset()
	}
	return p.AddPowerStates(p.PowerStates)
}

// info is the configuration header of a device of the given type.
func (p *PCIBase) info(t virtio.TypeInfo) pci.Info {
	i := pci.Info{Vendor: pci.VendorVirtio, Class: t.PCIClass, Express: p.express()}
	if p.legacy {
		i.Device, i.Revision = t.PCIDevice, pciRevision
		i.SubVendor, i.SubDevice = pci.VendorVirtio, t.ID
	} else {
		i.Device, i.Revision = pciModernBase+t.ID, pciRevisionV1
	}
	return i
}

// realize puts the device type, which must be set up, behind the function.
func (p *PCIBase) realize(typ virtio.Type) error {
	p.typ, p.dev = typ, typ.Virtio()
	if p.modernBAR == 0 {
		p.layout = plainLayout
	}
	p.SetInterruptPin(1)
	if err := p.addExpress(); err != nil {
		return err
	}
	if p.modern = p.modern && (p.IgnoreBackend || p.dev.WouldOffer(virtio.FeatureVersion1)); !p.modern && !p.legacy {
		return errors.New("Device doesn't support modern mode, and legacy mode is disabled\nSet disable-legacy to off")
	}
	if c, ok := typ.(virtio.ModernChecker); ok && p.modern {
		if err := c.CheckModern(); err != nil {
			return err
		}
	}
	p.addMSIX() // before the BARs: QEMU's order of capabilities is the reverse
	if p.modern {
		p.addModern()
	}
	p.linkMSIX()
	if p.legacy {
		p.addLegacy()
	}
	extra := uint64(1) << virtio.FeatureBadFeature
	if p.modern {
		extra |= 1 << virtio.FeatureVersion1
	}
	p.dev.Plug(p, p.DMA(), extra)
	return nil
}

// addMSIX decides on the number of vectors.
func (p *PCIBase) addMSIX() {
	p.nvectors = int(p.vectors)
	if p.vectors == autoVectors {
		p.nvectors = p.typ.Vectors()
	}
}

// linkMSIX adds the MSI-X capability, after those of the modern interface. A number that is impossible is no error: the device goes
// without, with a warning.
func (p *PCIBase) linkMSIX() {
	if p.nvectors == 0 {
		return
	}
	if err := p.AddMSIXBar(p.nvectors, p.msixBAR, p.Dev().Class().Name+"-msix"); err != nil {
		if p.vectors != autoVectors {
			p.Warn(fmt.Sprintf("unable to init msix vectors to %d", p.vectors))
		}
		p.nvectors = 0
	}
}

// addModern builds the modern BAR with its structures and the capabilities that describe them.
func (p *PCIBase) addModern() {
	mult := p.notifyMult()
	notifySize := mult * maxQueuesBySpec
	p.bar = memory.NewContainer("virtio-pci", ceilPow2(p.notify+notifySize))
	structures := []struct {
		typ  uint8
		name string
		at   uint64
		size uint64
		ops  memory.Ops
	}{
		{capCommon, "virtio-pci-common", p.common, p.small, (*commonOps)(p)},
		{capISR, "virtio-pci-isr", p.isr, p.small, (*isrOps)(p)},
		{capDevice, "virtio-pci-device", p.device, sizeStructure, (*deviceOps)(p)},
		{capNotify, "virtio-pci-notify", p.notify, notifySize, &notifyOps{p, mult}},
	}
	for _, s := range structures {
		r := memory.NewIO(s.name, s.size, s.ops)
		if s.typ == capNotify {
			r.Unlocked = true
			r.Posted = p.posted(func(n uint64) memory.Posted { return memory.Posted{Offset: n * mult} })
		}
		p.bar.Add(r, s.at, 0)
		p.addCap(s.typ, p.modernBAR, s.at, s.size, uint32(mult))
	}
	if p.ModernPIONotify {
		io := memory.NewIO("virtio-pci-notify-pio", sizePIONotify, (*pioNotifyOps)(p))
		io.Unlocked = true
		io.Posted = p.posted(postedNumber)
		p.SetBAR(p.modernIOBAR, pci.BARIO, io)
		p.addCap(capNotify, p.modernIOBAR, 0, sizePIONotify, 0)
	}
	p.cfgCap = p.addCap(capPCICfg, 0, 0, 0, 0)
	p.Writable[p.cfgCap+capBAR] = 0xff
	p.SetWritable32(p.cfgCap+capOffset, 0xffffffff)
	p.SetWritable32(p.cfgCap+capLength, 0xffffffff)
	p.SetWritable32(p.cfgCap+capData, 0xffffffff)
	p.SetBAR(p.modernBAR, pci.BARMem64|pci.BARPrefetch, p.bar)
}

// notifyMult is how far apart the places are where queues are notified.
func (p *PCIBase) notifyMult() uint64 {
	if p.PagePerVQ {
		return notifyMultPage
	}
	return notifyMult
}

// ShareWithVGA lays the modern BAR out for a function that is a VGA, too: it is where that one has its registers, which come first.
func (p *PCIBase) ShareWithVGA() {
	p.layout = layout{msixBAR: 4, modernIOBAR: 5, modernBAR: 2, small: sizeStructure}
	if !p.PagePerVQ { // there is no room to spare
		p.small /= 2
	}
	p.notify = ceilPow2(plainLayout.notify+p.notifyMult()*maxQueuesBySpec) - p.notifyMult()*maxQueuesBySpec
	p.device = p.notify - sizeStructure
	p.isr = p.device - p.small
	p.common = p.isr - p.small
}

// ModernBAR is the memory behind the modern BAR.
func (p *PCIBase) ModernBAR() *memory.Region { return p.bar }

// addCap adds a vendor capability that describes a structure.
func (p *PCIBase) addCap(typ uint8, bar int, off, size uint64, mult uint32) int {
	n := capSize
	if typ == capNotify || typ == capPCICfg {
		n = capSizeExtra
	}
	at, err := p.AddCapability(pci.CapVendor, 0, n)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	c := p.Config[at:]
	c[capLen], c[capType], c[capBAR] = uint8(n), typ, uint8(bar)
	binary.LittleEndian.PutUint32(c[capOffset:], uint32(off))
	binary.LittleEndian.PutUint32(c[capLength:], uint32(size))
	if typ == capNotify {
		binary.LittleEndian.PutUint32(c[capData:], mult)
	}
	return at
}

// addLegacy builds the legacy BAR.
func (p *PCIBase) addLegacy() {
	size := legConfigNoMSIX
	if p.MSIXEntries() > 0 {
		size = legConfigMSIX
	}
	r := memory.NewIO("virtio-pci", ceilPow2(uint64(size+p.dev.ConfigSize())), (*legacyOps)(p))
	notify := memory.NewIO("virtio-pci-notify", legNotifySize, (*legacyNotifyOps)(p))
	notify.Unlocked = true
	notify.Posted = p.posted(postedNumber)
	r.Add(notify, legQueueNotify, 1)
	p.SetBAR(legacyBAR, pci.BARIO, r)
}

// posted are the notifications that may be posted writes: those of queues that another goroutine serves anyway. at is the write for a queue.
func (p *PCIBase) posted(at func(queue uint64) memory.Posted) []memory.Posted {
	if !p.doorbells {
		return nil
	}
	return postedOf(p.dev, at)
}

func postedOf(d *virtio.Device, at func(queue uint64) memory.Posted) (list []memory.Posted) {
	for n := range d.Queues() {
		if d.Queue(n).Try == nil {
			list = append(list, at(uint64(n)))
		}
	}
	return list
}

// postedNumber is a notification by a register that takes the queue's number.
func postedNumber(queue uint64) memory.Posted {
	return memory.Posted{Size: 2, Match: true, Data: queue}
}

func ceilPow2(n uint64) uint64 { return 1 << bits.Len64(n-1) }

// Reset implements qdev.Device.
func (p *PCIBase) Reset() {
	p.resetDevice()
	p.ResetEndpoint()
}

// resetDevice is the reset of the virtio device. The feature selectors and what was written through them stay, as in QEMU.
func (p *PCIBase) resetDevice() {
	p.unuse(p.dev.ConfigVector())
	for i := range p.dev.Queues() {
		p.unuse(p.dev.Queue(i).Vector())
	}
	p.dev.Reset()
	p.updateINTx()
}

func (p *PCIBase) unuse(v uint16) {
	if v != virtio.NoVector {
		p.UnuseVector(int(v))
	}
}

// use takes a vector into use; the driver sees by NoVector that it does not exist.
func (p *PCIBase) use(v uint16) uint16 {
	if v != virtio.NoVector && !p.UseVector(int(v)) {
		return virtio.NoVector
	}
	return v
}

func (p *PCIBase) setConfigVector(v uint16) {
	p.unuse(p.dev.ConfigVector())
	p.dev.SetConfigVector(p.use(v))
}

func (p *PCIBase) setQueueVector(v uint16) {
	if q := p.queue(); q != nil {
		p.unuse(q.Vector())
		q.SetVector(p.use(v))
	}
}

// queue is the selected queue, nil if there is none.
func (p *PCIBase) queue() *virtio.Queue { return p.dev.Queue(int(p.dev.QueueSel)) }

// setStatus takes a status from the driver.
func (p *PCIBase) setStatus(v uint8) {
	if v == 0 {
		p.resetDevice()
		return
	}
	p.dev.SetStatus(v)
}

// QueueInterrupt implements virtio.Transport.
func (p *PCIBase) QueueInterrupt(q *virtio.Queue) { p.interrupt(q.Vector()) }

// DirectInterrupts implements virtio.DirectTransport.
func (p *PCIBase) DirectInterrupts(q *virtio.Queue, event int) (stop func()) {
	return p.DirectMSIX(int(q.Vector()), event)
}

// ConfigInterrupt implements virtio.Transport.
func (p *PCIBase) ConfigInterrupt() { p.interrupt(p.dev.ConfigVector()) }

// interrupt sends a message where messages are enabled and otherwise drives the pin.
func (p *PCIBase) interrupt(vector uint16) {
	if p.MSIXEnabled() {
		if vector != virtio.NoVector {
			p.NotifyMSIX(int(vector))
		}
		return
	}
	underLock(p.updateINTx)
}

// underLock runs f under the machine lock: now if the lock is free, otherwise soon on the main loop. The caller may hold the lock.
func underLock(f func()) {
	if mainloop.Lock.TryLock() {
		f()
		mainloop.Lock.Unlock()
		return
	}
	mainloop.Post(f)
}

// UpdateLine implements virtio.LineTransport.
func (p *PCIBase) UpdateLine() { p.updateINTx() }

// updateINTx drives the interrupt pin as the interrupt status asks.
func (p *PCIBase) updateINTx() {
	p.SetINTx(p.dev.ISR()&virtio.ISRQueue != 0 && !p.MSIXEnabled())
}

// readISR is the driver's read of the interrupt status, which clears it.
func (p *PCIBase) readISR() uint64 {
	v := p.dev.AckISR(0xff)
	p.SetINTx(false)
	return uint64(v)
}

// Running implements virtio.RunningTransport: a state that an old program has saved may lack the switch of bus mastering that its driver has set.
func (p *PCIBase) Running() {
	if p.MasterLate && p.dev.Status()&virtio.StatusDriver != 0 && !p.Mastering() {
		p.DefaultWriteConfig(pci.RegCommand, 1, uint32(p.Config[pci.RegCommand]|pci.CommandMaster))
	}
}

// WriteConfig implements pci.ConfigWriter.
func (p *PCIBase) WriteConfig(addr, size int, v uint32) {
	p.DefaultWriteConfig(addr, size, v)
	if addr <= pci.RegCommand && addr+size > pci.RegCommand && p.dev != nil {
		p.dev.SetDisabled(!p.Mastering())
	}
	if at, n, ok := p.window(addr, size); ok {
		if ops, off := p.structure(at); ops != nil {
			ops.Write(off, n, uint64(p.Get32(p.cfgCap+capData))&(1<<(8*n)-1))
		}
	}
}

// ReadConfig implements pci.ConfigReader.
func (p *PCIBase) ReadConfig(addr, size int) uint32 {
	if at, n, ok := p.window(addr, size); ok {
		if ops, off := p.structure(at); ops != nil {
			var b [8]byte
			binary.LittleEndian.PutUint64(b[:], ops.Read(off, n))
			copy(p.Config[p.cfgCap+capData:][:n], b[:])
		}
	}
	return p.DefaultReadConfig(addr, size)
}

// window tells whether an access to the configuration space goes through the access window, and to which part of the modern BAR.
func (p *PCIBase) window(addr, size int) (at uint64, n int, ok bool) {
	data := p.cfgCap + capData
	if p.cfgCap == 0 || p.dev == nil || addr >= data+4 || addr+size <= data {
		return 0, 0, false
	}
	at, n = uint64(p.Get32(p.cfgCap+capOffset)), int(p.Get32(p.cfgCap+capLength))
	return at, n, (n == 1 || n == 2 || n == 4) && at%uint64(n) == 0
}

// structure finds what lies at an offset of the modern BAR.
func (p *PCIBase) structure(at uint64) (memory.Ops, uint64) {
	switch {
	case at >= p.bar.Size() || at < p.common:
	case at < p.isr:
		return (*commonOps)(p), at - p.common
	case at < p.device:
		return (*isrOps)(p), at - p.isr
	case at < p.notify:
		return (*deviceOps)(p), at - p.device
	default:
		return &notifyOps{p, p.notifyMult()}, at - p.notify
	}
	return nil, 0
}
