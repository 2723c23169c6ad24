// Package vhostuser is the front end of the vhost-user protocol: it lets a process at the other end of a unix socket serve the rings of a
// virtio device (QEMU's docs/interop/vhost-user.rst). It knows no device. What the other side says is checked; one that does not keep to the
// protocol, or does not answer in time, is cut off.
package vhostuser

// Message: le32 request, le32 flags, le32 size, payload.
const (
	headerSize = 12
	msgFlags   = 4
	msgSize    = 8

	flagVersion   = 1
	flagReply     = 4
	flagNeedReply = 8
	versionMask   = 3
)

// Requests.
const (
	getFeatures         = 1
	setFeatures         = 2
	setOwner            = 3
	setMemTable         = 5
	setLogBase          = 6
	setVringNum         = 8
	setVringAddr        = 9
	setVringBase        = 10
	getVringBase        = 11
	setVringKick        = 12
	setVringCall        = 13
	getProtocolFeatures = 15
	setProtocolFeatures = 16
	getQueueNum         = 17
	setVringEnable      = 18
	sendRARP            = 19
	netSetMTU           = 20
)

// Features of the device that are the protocol's own.
const (
	FeatureLogAll   = 26 // writes to memory are logged
	FeatureProtocol = 30 // there are protocol features
)

// Protocol features.
const (
	ProtocolMQ       = 0
	ProtocolLogShmFD = 1 // the log is shared memory
	ProtocolRARP     = 2
	protocolReplyAck = 3
	ProtocolMTU      = 4

	supported = 1<<ProtocolMQ | 1<<ProtocolLogShmFD | 1<<ProtocolRARP | 1<<protocolReplyAck | 1<<ProtocolMTU
)

// Memory table: le32 number of regions, le32 padding, {le64 guest address, size, address here, offset in the file}.
const (
	tableSize  = 8
	regionSize = 32
	// MaxRegions is how many pieces of memory the other side can be told of.
	MaxRegions = 8
)

// Ring addresses: le32 index, le32 flags, le64 descriptors, used ring, available ring, place of the used ring in the log.
const (
	addrSize = 40
	addrLog  = 1
)

// LogPage is what a bit of the log stands for.
const LogPage = 4096

// maxRings is how many rings the messages can name.
const maxRings = 256
