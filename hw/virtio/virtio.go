// Package virtio is what all virtio devices share: status and feature negotiation, configuration space, queues and the goroutines
// that serve them. Device types are Models; transports (PCI, MMIO) drive a Device through its methods. It knows no concrete device
// and no transport.
package virtio

// Device IDs (virtio 1.2, section 5).
const (
	IDNet     = 1
	IDBlock   = 2
	IDConsole = 3
	IDRNG     = 4
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
	ISRConfig = 2
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
	IndirectDesc  bool `prop:"indirect_desc,default=on"`
	EventIdx      bool `prop:"event_idx,default=on"`
	NotifyOnEmpty bool `prop:"notify_on_empty,default=on"`
	AnyLayout     bool `prop:"any_layout,default=on"`
	IOMMUPlatform bool `prop:"iommu_platform,default=off"`
	QueueReset    bool `prop:"queue_reset,default=on"`
}

// features are the bits that the options stand for.
func (p *Props) features() (f uint64) {
	for bit, on := range map[int]bool{
		FeatureIndirectDesc: p.IndirectDesc, FeatureEventIdx: p.EventIdx, FeatureNotifyOnEmpty: p.NotifyOnEmpty,
		FeatureAnyLayout: p.AnyLayout, FeatureIOMMUPlatform: p.IOMMUPlatform, FeatureRingReset: p.QueueReset,
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
