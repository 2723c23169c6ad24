// Package blk is the virtio block device (virtio 1.2, section 5.2) over a block.Disk.
package blk

// Feature bits (section 5.2.3).
const (
	featureSegMax      = 2
	featureGeometry    = 4
	featureRO          = 5
	featureBlkSize     = 6
	featureSCSI        = 7 // legacy only
	featureFlush       = 9
	featureTopology    = 10
	featureConfigWCE   = 11
	featureMQ          = 12
	featureDiscard     = 13
	featureWriteZeroes = 14
)

// Request types (section 5.2.6). Bit 0 is the direction.
const (
	typeIn          = 0
	typeOut         = 1
	typeSCSI        = 2
	typeFlush       = 4
	typeGetID       = 8
	typeDiscard     = 11
	typeWriteZeroes = 13
	typeBarrier     = 1 << 31 // legacy only, no meaning any more
)

// Request status, the last byte of a request.
const (
	statusOK     = 0
	statusIOErr  = 1
	statusUnsupp = 2
)

// Request header: le32 type, le32 priority, le64 sector.
const (
	hdrSize   = 16
	hdrSector = 8
	idSize    = 20 // of the answer to typeGetID
)

// Segment of a discard or write zeroes request: le64 sector, le32 sectors, le32 flags.
const (
	segSize     = 16
	segSectors  = 8
	segFlags    = 12
	segFlagZero = 1 // unmap
)

// Offsets in the configuration space (section 5.2.4).
const (
	cfgCapacity       = 0
	cfgSizeMax        = 8
	cfgSegMax         = 12
	cfgCylinders      = 16
	cfgHeads          = 18
	cfgSectors        = 19
	cfgBlkSize        = 20
	cfgPhysicalExp    = 24
	cfgAlignment      = 25
	cfgMinIO          = 26
	cfgOptIO          = 28
	cfgWCE            = 32
	cfgNumQueues      = 34
	cfgMaxDiscard     = 36
	cfgMaxDiscardSeg  = 40
	cfgDiscardAlign   = 44
	cfgMaxZeroes      = 48
	cfgMaxZeroesSeg   = 52
	cfgZeroesMayUnmap = 56
	cfgSizeBase       = 36 // without the two optional parts
	cfgSizeDiscard    = 48
	cfgSizeZeroes     = 57
	sectorBits        = 9
	sectorSize        = 1 << sectorBits
	maxRequestSectors = (1<<31 - 1) >> sectorBits
	maxDiscardSectors = maxRequestSectors
)
