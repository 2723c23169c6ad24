// Package transport connects virtio devices to buses: PCI (virtio 1.2, section 4.1, and the legacy interface) and MMIO (section 4.2).
// It knows no device type: those are virtio.Types.
package transport

// PCI identification (section 4.1.2).
const (
	pciModernBase   = 0x1040 // device ID of a non-transitional device: this plus its virtio ID
	pciRevision     = 0
	pciRevisionV1   = 1
	capCommon       = 1
	capNotify       = 2
	capISR          = 3
	capDevice       = 4
	capPCICfg       = 5
	capSize         = 16
	capSizeExtra    = 20 // with the notify multiplier or the access window's data
	capLen          = 2  // offsets in a capability
	capType         = 3
	capBAR          = 4
	capOffset       = 8
	capLength       = 12
	capData         = 16
	legacyBAR       = 0
	notifyMult      = 4
	notifyMultPage  = 4096
	sizeStructure   = 0x1000
	sizePIONotify   = 4
	maxQueuesBySpec = 1024
)

// layout is where a function has its BARs, and the structures in the modern one.
type layout struct {
	msixBAR, modernIOBAR, modernBAR int
	common, isr, device, notify     uint64
	small                           uint64 // size of the common structure and of that for the ISR status
}

// plainLayout is that of all functions that are nothing else.
var plainLayout = layout{msixBAR: 1, modernIOBAR: 2, modernBAR: 4, common: 0x0000, isr: 0x1000, device: 0x2000, notify: 0x3000, small: sizeStructure}

// Common configuration structure (section 4.1.4.3).
const (
	comDFSelect   = 0
	comDF         = 4
	comGFSelect   = 8
	comGF         = 12
	comMSIX       = 16
	comNumQueues  = 18
	comStatus     = 20
	comGeneration = 21
	comQSelect    = 22
	comQSize      = 24
	comQMSIX      = 26
	comQEnable    = 28
	comQNotifyOff = 30
	comQDescLo    = 32
	comQDescHi    = 36
	comQAvailLo   = 40
	comQAvailHi   = 44
	comQUsedLo    = 48
	comQUsedHi    = 52
	comQReset     = 58
)

// Legacy interface (section 4.1.4.10).
const (
	legHostFeatures  = 0
	legGuestFeatures = 4
	legQueuePFN      = 8
	legQueueNum      = 12
	legQueueSel      = 14
	legQueueNotify   = 16
	legNotifySize    = 2
	legStatus        = 18
	legISR           = 19
	legConfigVector  = 20
	legQueueVector   = 22
	legConfigNoMSIX  = 20
	legConfigMSIX    = 24
	legPFNShift      = 12
)
