package transport

// Registers of the MMIO transport (virtio 1.2, sections 4.2.2 and 4.2.4).
const (
	mmioMagic        = 0x000
	mmioVersion      = 0x004
	mmioDeviceID     = 0x008
	mmioVendorID     = 0x00c
	mmioHostFeat     = 0x010
	mmioHostFeatSel  = 0x014
	mmioGuestFeat    = 0x020
	mmioGuestFeatSel = 0x024
	mmioPageSize     = 0x028 // legacy
	mmioQueueSel     = 0x030
	mmioQueueNumMax  = 0x034
	mmioQueueNum     = 0x038
	mmioQueueAlign   = 0x03c // legacy
	mmioQueuePFN     = 0x040 // legacy
	mmioQueueReady   = 0x044
	mmioQueueNotify  = 0x050
	mmioISR          = 0x060
	mmioISRAck       = 0x064
	mmioStatus       = 0x070
	mmioDescLo       = 0x080
	mmioDescHi       = 0x084
	mmioAvailLo      = 0x090
	mmioAvailHi      = 0x094
	mmioUsedLo       = 0x0a0
	mmioUsedHi       = 0x0a4
	mmioSHMLenLo     = 0x0b0
	mmioSHMLenHi     = 0x0b4
	mmioGeneration   = 0x0fc
	mmioConfig       = 0x100

	// MMIOSize is the size of the register block.
	MMIOSize = 0x200

	magicValue    = 0x74726976 // "virt"
	vendorValue   = 0x554d4551 // "QEMU"
	versionLegacy = 1
	versionModern = 2
)
