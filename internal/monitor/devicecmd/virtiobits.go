package devicecmd

import (
	"slices"

	"goemu/hw/virtio"
)

// bitText is what a bit is called for people.
type bitText struct {
	bit  int
	text string
}

// The lists below have the order and the texts of QEMU's answers.

// statusBits are the bits of the device status.
var statusBits = []bitText{
	{0, "VIRTIO_CONFIG_S_ACKNOWLEDGE: Valid virtio device found"},
	{7, "VIRTIO_CONFIG_S_FAILED: Error in guest, device failed"},
	{6, "VIRTIO_CONFIG_S_NEEDS_RESET: Irrecoverable error, device needs reset"},
	{1, "VIRTIO_CONFIG_S_DRIVER: Guest OS compatible with device"},
	{3, "VIRTIO_CONFIG_S_FEATURES_OK: Feature negotiation complete"},
	{2, "VIRTIO_CONFIG_S_DRIVER_OK: Driver setup and ready"},
}

// transportBits are the features that do not belong to a type of device.
var transportBits = []bitText{
	{29, "VIRTIO_RING_F_EVENT_IDX: Used & avail. event fields enabled"},
	{28, "VIRTIO_RING_F_INDIRECT_DESC: Indirect descriptors supported"},
	{37, "VIRTIO_F_SR_IOV: Device supports single root I/O virtualization"},
	{36, "VIRTIO_F_ORDER_PLATFORM: Memory accesses ordered by platform"},
	{35, "VIRTIO_F_IN_ORDER: Device uses buffers in same order as made available by driver"},
	{34, "VIRTIO_F_RING_PACKED: Device supports packed VQ layout"},
	{33, "VIRTIO_F_IOMMU_PLATFORM: Device can be used on IOMMU platform"},
	{32, "VIRTIO_F_VERSION_1: Device compliant for v1 spec (legacy)"},
	{27, "VIRTIO_F_ANY_LAYOUT: Device accepts arbitrary desc. layouts"},
	{24, "VIRTIO_F_NOTIFY_ON_EMPTY: Notify when device runs out of avail. descs. on VQ"},
}

// serverBits are features between a device and the server that it may be in.
var serverBits = []bitText{
	{30, "VHOST_USER_F_PROTOCOL_FEATURES: Vhost-user protocol features negotiation supported"},
	{26, "VHOST_F_LOG_ALL: Logging write descriptors supported"},
}

// deviceBits are the features of the types of devices.
var deviceBits = map[uint16][]bitText{
	virtio.IDNet: slices.Concat(serverBits, []bitText{
		{27, "VHOST_NET_F_VIRTIO_NET_HDR: Virtio-net headers for RX and TX packets supported"},
		{6, "VIRTIO_NET_F_GSO: Handling GSO-type packets supported"},
		{63, "VIRTIO_NET_F_SPEED_DUPLEX: Device set linkspeed and duplex"},
		{62, "VIRTIO_NET_F_STANDBY: Device acting as standby for primary device with same MAC addr. supported"},
		{61, "VIRTIO_NET_F_RSC_EXT: Extended coalescing info supported"},
		{60, "VIRTIO_NET_F_RSS: RSS RX steering supported"},
		{57, "VIRTIO_NET_F_HASH_REPORT: Hash reporting supported"},
		{23, "VIRTIO_NET_F_CTRL_MAC_ADDR: MAC address set through control channel"},
		{22, "VIRTIO_NET_F_MQ: Multiqueue with automatic receive steering supported"},
		{21, "VIRTIO_NET_F_GUEST_ANNOUNCE: Driver sending gratuitous packets supported"},
		{20, "VIRTIO_NET_F_CTRL_RX_EXTRA: Extra RX mode control supported"},
		{19, "VIRTIO_NET_F_CTRL_VLAN: Control channel VLAN filtering supported"},
		{18, "VIRTIO_NET_F_CTRL_RX: Control channel RX mode supported"},
		{17, "VIRTIO_NET_F_CTRL_VQ: Control channel available"},
		{16, "VIRTIO_NET_F_STATUS: Configuration status field available"},
		{15, "VIRTIO_NET_F_MRG_RXBUF: Driver can merge receive buffers"},
		{14, "VIRTIO_NET_F_HOST_UFO: Device can receive UFO"},
		{13, "VIRTIO_NET_F_HOST_ECN: Device can receive TSO with ECN"},
		{12, "VIRTIO_NET_F_HOST_TSO6: Device can receive TSOv6"},
		{11, "VIRTIO_NET_F_HOST_TSO4: Device can receive TSOv4"},
		{10, "VIRTIO_NET_F_GUEST_UFO: Driver can receive UFO"},
		{9, "VIRTIO_NET_F_GUEST_ECN: Driver can receive TSO with ECN"},
		{8, "VIRTIO_NET_F_GUEST_TSO6: Driver can receive TSOv6"},
		{7, "VIRTIO_NET_F_GUEST_TSO4: Driver can receive TSOv4"},
		{5, "VIRTIO_NET_F_MAC: Device has given MAC address"},
		{3, "VIRTIO_NET_F_MTU: Device max MTU reporting supported"},
		{2, "VIRTIO_NET_F_CTRL_GUEST_OFFLOADS: Control channel offloading reconfig. supported"},
		{1, "VIRTIO_NET_F_GUEST_CSUM: Driver handling packets with partial checksum supported"},
		{0, "VIRTIO_NET_F_CSUM: Device handling packets with partial checksum supported"},
	}),
	virtio.IDBlock: slices.Concat(serverBits, []bitText{
		{11, "VIRTIO_BLK_F_CONFIG_WCE: Cache writeback and writethrough modes supported"},
		{9, "VIRTIO_BLK_F_FLUSH: Flush command supported"},
		{7, "VIRTIO_BLK_F_SCSI: SCSI packet commands supported"},
		{0, "VIRTIO_BLK_F_BARRIER: Request barriers supported"},
		{14, "VIRTIO_BLK_F_WRITE_ZEROES: Write zeroes command supported"},
		{13, "VIRTIO_BLK_F_DISCARD: Discard command supported"},
		{12, "VIRTIO_BLK_F_MQ: Multiqueue supported"},
		{10, "VIRTIO_BLK_F_TOPOLOGY: Topology information available"},
		{6, "VIRTIO_BLK_F_BLK_SIZE: Block size of disk available"},
		{5, "VIRTIO_BLK_F_RO: Device is read-only"},
		{4, "VIRTIO_BLK_F_GEOMETRY: Legacy geometry available"},
		{2, "VIRTIO_BLK_F_SEG_MAX: Max segments in a request is seg_max"},
		{1, "VIRTIO_BLK_F_SIZE_MAX: Max segment size is size_max"},
	}),
	virtio.IDConsole: {
		{2, "VIRTIO_CONSOLE_F_EMERG_WRITE: Emergency write supported"},
		{1, "VIRTIO_CONSOLE_F_MULTIPORT: Multiple ports for device supported"},
		{0, "VIRTIO_CONSOLE_F_SIZE: Host providing console size"},
	},
	virtio.IDRNG: serverBits,
	virtio.IDBalloon: {
		{5, "VIRTIO_BALLOON_F_REPORTING: Page reporting VQ enabled"},
		{4, "VIRTIO_BALLOON_F_PAGE_POISON: Guest page poisoning enabled"},
		{3, "VIRTIO_BALLOON_F_FREE_PAGE_HINT: VQ reporting free pages enabled"},
		{2, "VIRTIO_BALLOON_F_DEFLATE_ON_OOM: Deflate balloon when guest OOM"},
		{1, "VIRTIO_BALLOON_F_STATS_VQ: Guest memory stats VQ available"},
		{0, "VIRTIO_BALLOON_F_MUST_TELL_HOST: Tell host before reclaiming pages"},
	},
	virtio.IDSCSI: slices.Concat(serverBits, []bitText{
		{3, "VIRTIO_SCSI_F_T10_PI: T10 info included in request header"},
		{2, "VIRTIO_SCSI_F_CHANGE: Reporting and handling LUN changes supported"},
		{1, "VIRTIO_SCSI_F_HOTPLUG: Reporting and handling hot-plug events supported"},
		{0, "VIRTIO_SCSI_F_INOUT: Requests including read and writable data buffers supported"},
	}),
	virtio.IDGPU: slices.Concat(serverBits, []bitText{
		{4, "VIRTIO_GPU_F_CONTEXT_INIT: Context types and synchronization timelines supported"},
		{3, "VIRTIO_GPU_F_RESOURCE_BLOB: Size-based blob resources supported"},
		{2, "VIRTIO_GPU_F_RESOURCE_UUID: Resource UUID assigning supported"},
		{1, "VIRTIO_GPU_F_EDID: EDID metadata supported"},
		{0, "VIRTIO_GPU_F_VIRGL: Virgl 3D mode supported"},
	}),
	virtio.IDInput: serverBits,
	virtio.IDFS:    serverBits,
}
