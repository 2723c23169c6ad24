// Package virtio is what all virtio devices share: status and feature negotiation, configuration space, queues and the goroutines
// that serve them. Device types are Models; transports (PCI, MMIO) drive a Device through its methods. It knows no concrete device
// and no transport.
package virtio

import (
	"fmt"

	"goemu/block"
	"goemu/hw/qdev"
	"goemu/hw/virtio/ring"
)

// Device IDs (virtio 1.2, section 5).
const (
	IDNet     = 1
	IDBlock   = 2
	IDConsole = 3
	IDRNG     = 4
	IDBalloon = 5
	IDSCSI    = 8
	ID9P      = 9
	IDGPU     = 16
	IDInput   = 18
	IDFS      = 26
)

// Device status bits (virtio 1.2, section 2.1).
const (
	StatusAcknowledge = 1 << iota
	StatusDriver
	StatusDriverOK
	StatusFeaturesOK
	_
	_
	StatusNeedsReset
	StatusFailed
)

// Bits of the interrupt status register (virtio 1.2, section 4.1.4.5).
const (
	ISRQueue  = 1
	ISRConfig = 3 // configuration changes set the queue bit too, as drivers of the legacy interface expect
)

// Feature bits that do not belong to a device type (virtio 1.2, section 6).
const (
	FeatureNotifyOnEmpty    = 24
	FeatureAnyLayout        = 27
	FeatureIndirectDesc     = 28
	FeatureEventIdx         = 29
	FeatureBadFeature       = 30 // legacy transports offer it to find drivers that accept everything
	FeatureVersion1         = 32
	FeatureIOMMUPlatform    = 33
	FeatureRingPacked       = 34
	FeatureInOrder          = 35
	FeatureOrderPlatform    = 36
	FeatureSRIOV            = 37
	FeatureNotificationData = 38
	FeatureRingReset        = 40
)

// NoVector is the MSI-X vector of a queue without one.
const NoVector = 0xffff

// MaxQueues is the largest number of queues of a device.
const MaxQueues = 1024

// Props are the options that every virtio device has.
type Props struct {
	IndirectDesc  bool `prop:"indirect_desc,default=on" help:"on/off"`
	EventIdx      bool `prop:"event_idx,default=on" help:"on/off"`
	NotifyOnEmpty bool `prop:"notify_on_empty,default=on" help:"on/off"`
	AnyLayout     bool `prop:"any_layout,default=on" help:"on/off"`
	IOMMUPlatform bool `prop:"iommu_platform,default=off" help:"on/off"`
	Packed        bool `prop:"packed,default=off" help:"on/off"`
	QueueReset    bool `prop:"queue_reset,default=on" help:"on/off"`
	UseStarted    bool `prop:"use-started,default=true"`             // the state says whether the device was started
	UseDisabled   bool `prop:"use-disabled-flag,default=true"`       // the state says whether bus mastering was switched off under a driver
	NoLegacyCheck bool `prop:"x-disable-legacy-check,default=false"` // of old machines, for people to see: no type here depends on it
}

// features are the bits that the options stand for.
func (p *Props) features() (f uint64) {
	for bit, on := range map[int]bool{
		FeatureIndirectDesc: p.IndirectDesc, FeatureEventIdx: p.EventIdx, FeatureNotifyOnEmpty: p.NotifyOnEmpty,
		FeatureAnyLayout: p.AnyLayout, FeatureIOMMUPlatform: p.IOMMUPlatform, FeatureRingPacked: p.Packed,
		FeatureRingReset: p.QueueReset,
	} {
		if on {
			f |= 1 << bit
		}
	}
	return f
}

// Model is a device type. Except for queue handlers, its methods are called under the machine lock.
type Model interface {
	// Features adds the device type's feature bits to those that the options and the transport offer.
	Features(host uint64) uint64
	// ReadConfig fills the configuration space.
	ReadConfig(b []byte)
	// WriteConfig takes the whole configuration space after the driver has changed bytes of it.
	WriteConfig(b []byte)
	// SetStatus hears of every change of the device status but reset, before it takes effect.
	SetStatus(status uint8)
	// Reset returns the device type's own state to power-on; queues are idle then.
	Reset()
}

// Transport carries a device's interrupts to the driver. Its methods may be called from any goroutine, with or without the machine
// lock, and do not block.
type Transport interface {
	// QueueInterrupt tells the driver of used buffers.
	QueueInterrupt(q *Queue)
	// ConfigInterrupt tells the driver of a changed configuration.
	ConfigInterrupt()
}

// DirectTransport is a Transport that can let the signals of an event descriptor tell the driver of a queue's used buffers, without their being
// read by this process; those that are not are for the caller. stop ends that.
type DirectTransport interface {
	DirectInterrupts(q *Queue, event int) (stop func())
}

// LineTransport is a Transport with an interrupt line, which other goroutines have changed soon: UpdateLine, which needs the machine lock, does so
// now, before a state is saved, say.
type LineTransport interface{ UpdateLine() }

// RunningTransport is a Transport that wants to know when the machine begins to run.
type RunningTransport interface{ Running() }

// Starter is a Model that wants to know when its queues begin to be served.
type Starter interface{ Started() }

// ModernChecker is a Model that may have options which do not go with the modern interface.
type ModernChecker interface{ CheckModern() error }

// Backed is a Model whose requests go to the host's disks.
type Backed interface{ Backends() []*block.Backend }

// Patient is a Model with requests that may wait for the driver, so that a reset, which waits for them, has to tell it to give them up.
type Patient interface{ GiveUp() }

// FeatureModel is a Model that acts on the driver's choice of features; it hears of none at a reset.
type FeatureModel interface{ FeaturesSet(f uint64) }

// LegacyModel is a Model with features of its own that only the legacy interface offers.
type LegacyModel interface{ LegacyFeatures() uint64 }

// TypeInfo is what transports must know of a device type.
type TypeInfo struct {
	Family    string // "" is virtio
	Name      string // as in virtio-NAME-device
	ID        uint16
	PCIDevice uint16 // device ID of a transitional PCI function
	PCIClass  uint16
	Category  qdev.Category
	Modern    bool   // there is no legacy interface
	ROM       string // expansion ROM of the PCI function, "" for none

	NoHotplug bool

	StateName    string // of the migrated state
	StateVersion int
}

// TypeName is what the names of the classes begin with: virtio-NAME.
func (i TypeInfo) TypeName() string {
	if i.Family != "" {
		return i.Family + "-" + i.Name
	}
	return "virtio-" + i.Name
}

// Type is a device type as transports see it: a Model with options and a life cycle.
type Type interface {
	TypeInfo() TypeInfo
	// Virtio is the common part of the device.
	Virtio() *Device
	// Setup checks the options and takes the back end, on behalf of the device that carries the type. queues is the number of queues
	// to use where the user left the choice.
	Setup(owner qdev.Device, queues int) error
	// Vectors is the number of MSI-X vectors that the device can use.
	Vectors() int
	// Teardown ends what Setup began.
	Teardown()
}

// Errorf makes an error for Device.Fail.
func Errorf(format string, args ...any) error { return ring.Error(fmt.Sprintf(format, args...)) }
