// Package nvme is the NVM Express controller (revision 1.4) on PCI and its namespaces.
package nvme

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"goemu/hw/disk"
	"goemu/hw/pci"
	"goemu/hw/qdev"
	"goemu/internal/clock"
	"goemu/internal/hostmem"
	"goemu/internal/memory"
)

var le = binary.LittleEndian

// Controller is the device type nvme.
type Controller struct {
	pci.Device
	disk.Options
	Serial     string           `prop:"serial"`
	CMBSize    uint32           `prop:"cmb_size_mb,default=0"`
	PMR        *hostmem.Backend `prop:"pmrdev"`
	NumQueues  uint32           `prop:"num_queues,default=0"`
	MaxPairs   uint32           `prop:"max_ioqpairs,default=64"`
	MSIXSize   uint16           `prop:"msix_qsize,default=65"`
	AERLimit   uint8            `prop:"aerl,default=3"`
	MaxEvents  uint32           `prop:"aer_max_queued,default=64"`
	MaxData    uint8            `prop:"mdts,default=7"`
	MaxVerify  uint8            `prop:"vsl,default=7"`
	IntelID    bool             `prop:"use-intel-id,default=false"`
	LegacyCMB  bool             `prop:"legacy-cmb,default=false"`
	IOEventFD  bool             `prop:"ioeventfd,default=false"`
	OwnMSIXBar bool             `prop:"msix-exclusive-bar,default=false"`
	Health     warnings         `prop:"smart_critical_warning"`
	Subsys     *Subsystem       `prop:"subsys"`

	AppendLimit    uint8 `prop:"zoned.zasl,default=0"`
	AutoTransition bool  `prop:"zoned.auto_transition,default=true"`

	bus                   nsBus
	own                   *Namespace // of the option drive
	number                uint16     // in the subsystem
	namespaces            [maxNamespaces + 1]*Namespace
	changed               [maxNamespaces + 1]bool // namespaces that have come or gone
	regs                  [barBytes]byte
	page                  uint64 // size of a page as the driver has chosen it
	sqs                   []*subQueue
	cqs                   []*compQueue
	created               bool // the driver has made I/O queues
	irqs                  uint32
	cmb                   []byte
	space                 *memory.AddressSpace // DMA's, with the memory buffer where the driver wants it
	buffer                *memory.Region       // the memory buffer in space
	persistent, pmrWindow *memory.Region       // the persistent memory region in its register and in space
	shadow                shadow
	features              features
	events                events
	maxDiscard            uint32 // blocks in a range
	started               int64  // milliseconds of the virtual clock
}

// nsBus is the bus that namespaces sit on.
type nsBus struct {
	qdev.Bus
	ctrl *Controller
}

const busType = "nvme-bus"

// busCount numbers the buses of controllers without identifier. Guarded by the machine lock.
var busCount int

// Classes are the device types of this package.
func Classes() []*qdev.Class {
	return []*qdev.Class{
		{Name: "nvme", Bus: pci.BusType, Desc: "Non-Volatile Memory Express", Category: qdev.Storage, Unmigratable: true, Parents: []string{"pci-device", "device"},
			New: func() qdev.Device { return new(Controller) }},
		{Name: "nvme-subsys", Desc: "Virtual NVMe subsystem", Category: qdev.Storage, NoHotplug: true, New: func() qdev.Device { return new(Subsystem) }},
		{Name: "nvme-ns", Bus: busType, Desc: "Virtual NVMe namespace", Category: qdev.Other,
			New: func() qdev.Device { return new(Namespace) }},
	}
}

// PCIInfo implements pci.Function.
func (c *Controller) PCIInfo() pci.Info {
	i := pci.Info{Vendor: vendorQEMU, Device: deviceQEMU, Class: classNVMe, ProgIf: progIfNVMe, Revision: 2, Express: true}
	if c.IntelID {
		i.Vendor, i.Device = vendorIntel, deviceIntel
	}
	return i
}

// checkOptions checks what the user asked for, in QEMU's words.
func (c *Controller) checkOptions() error {
	if c.NumQueues != 0 {
		c.Warn("num_queues is deprecated; please use max_ioqpairs instead")
		c.MaxPairs = c.NumQueues - 1
	}
	switch {
	case c.Drive != nil && c.Subsys != nil:
		return errors.New("subsystem support is unavailable with legacy namespace ('drive' property)")
	case c.MaxPairs < 1 || c.MaxPairs > maxIOQueuePairs:
		return fmt.Errorf("max_ioqpairs must be between 1 and %d", maxIOQueuePairs)
	case c.MSIXSize < 1 || c.MSIXSize > 2048:
		return fmt.Errorf("msix_qsize must be between 1 and %d", 2048)
	case c.Serial == "":
		return errors.New("serial property not set")
	case c.AppendLimit > c.MaxData:
		return errors.New("zoned.zasl (Zone Append Size Limit) must be less than or equal to mdts (Maximum Data Transfer Size)")
	case c.MaxVerify == 0:
		return errors.New("vsl must be non-zero")
	}
	return c.checkHealth(c.Health)
}

// Realize implements qdev.Device.
func (c *Controller) Realize() error {
	if err := c.checkOptions(); err != nil {
		return err
	}
	c.bus.ctrl = c
	name := c.ID()
	if name == "" {
		name = fmt.Sprintf("%s.%d", busType, busCount)
		busCount++
	}
	qdev.InitBus(&c.bus, c, busType, name, 0)
	c.sqs, c.cqs = make([]*subQueue, c.MaxPairs+1), make([]*compQueue, c.MaxPairs+1)
	c.features.hot = warningTemperature
	c.started = clock.Virtual.Now() / nsPerMilli
	if err := c.Subsys.enter(c); err != nil {
		return err
	}
	if err := c.realizePCI(); err != nil {
		c.Subsys.leave(c)
		return err
	}
	c.initRegs()
	c.showHealth(c.QOM())
	if c.Drive != nil {
		c.own = &Namespace{nsOptions: nsOptions{NSID: 1}}
		c.own.Options, c.own.user = c.Options, c.IDOrPath()
		if err := c.own.setup(); err != nil {
			return err
		}
		c.Options = c.own.Options
		c.attach(c.own)
	}
	return nil
}

// Unrealize implements qdev.Device.
func (c *Controller) Unrealize() {
	c.reset()
	c.Subsys.leave(c)
	if c.own != nil {
		c.own.release()
	}
	if c.space != c.DMA() {
		c.space.Close()
	}
	if c.persistent != nil {
		c.PMR.Release()
	}
}

// realizePCI makes capabilities and base address registers.
func (c *Controller) realizePCI() error {
	c.SetInterruptPin(1)
	if err := c.AddPowerManagement(atPower); err != nil {
		return err
	}
	if err := c.AddEndpoint(atExpress); err != nil {
		return err
	}
	c.AddFunctionReset()
	size := barBytes + 2*uint64(c.MaxPairs+1)*dbBytes
	if c.OwnMSIXBar {
		c.SetBAR(0, pci.BARMem64, c.region(ceilPow2(size)))
		if err := c.AddMSIXBar(int(c.MSIXSize), exclusiveBAR, "nvme-msix"); err != nil {
			return err
		}
	} else {
		const page = 4096
		up := func(n uint64) uint64 { return (n + page - 1) &^ (page - 1) }
		table := up(size)
		pba := up(table + 16*uint64(c.MSIXSize))
		bar := memory.NewContainer("nvme-bar0", ceilPow2(pba+uint64(c.MSIXSize+63)/64*8))
		bar.Add(c.region(table), 0, 0)
		c.SetBAR(0, pci.BARMem64, bar)
		if err := c.AddMSIX(pci.MSIXLayout{Entries: int(c.MSIXSize), TableOff: uint32(table), PBAOffset: uint32(pba)}, bar, bar); err != nil {
			return err
		}
	}
	c.space = c.DMA()
	if c.CMBSize != 0 {
		c.addMemoryBuffer()
	}
	if c.PMR != nil {
		return c.addPersistentMemory()
	}
	return nil
}

func (c *Controller) region(size uint64) *memory.Region {
	r := memory.NewIO("nvme", size, (*registers)(c))
	r.Valid = memory.Access{Min: 1, Max: 8, Unaligned: true}
	r.Impl = memory.Access{Min: 2, Max: 8}
	return r
}

func ceilPow2(n uint64) uint64 { return 1 << bits.Len64(n-1) }

// Places of capabilities in configuration space.
const atPower, atExpress = 0x60, 0x80

// Reset implements qdev.Device.
func (c *Controller) Reset() { c.reset() }

// ns returns a namespace, nil if there is none with the number.
func (c *Controller) ns(id uint32) *Namespace {
	if id == 0 || id > maxNamespaces {
		return nil
	}
	return c.namespaces[id]
}

// attach takes a namespace in.
func (c *Controller) attach(n *Namespace) {
	c.namespaces[n.NSID] = n
	n.attached++
	c.limitDiscard(n)
}

func (c *Controller) limitDiscard(n *Namespace) {
	limit := uint32(maxRequest >> n.shift)
	if c.maxDiscard == 0 || limit < c.maxDiscard {
		c.maxDiscard = limit
	}
}

// detach takes a namespace out once its commands are over.
func (c *Controller) detach(n *Namespace) {
	for _, q := range c.sqs {
		if q != nil {
			q.jobs.Drain()
		}
	}
	c.namespaces[n.NSID] = nil
	n.attached--
}

// maxRequest is how much QEMU's block layer takes at once.
const maxRequest = 0x7ffffe00

// BootPlace implements qdev.Bootable.
func (c *Controller) BootPlace() (index int32, suffix string, ok bool) {
	return c.BootIndex.N, "/namespace@1,0", c.BootIndex.Set
}
