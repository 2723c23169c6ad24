package scsi

// CDBLength is the length of a CDB with an operation code (SPC-3, §4.3.4); 6 for those of vendors.
func CDBLength(op uint8) int {
	switch op >> 5 {
	case 1, 2:
		return 10
	case 4:
		return 16
	case 5:
		return 12
	}
	return 6
}

// CommandName is the name of an operation code in logs, as QEMU has it, for the commands of disks and CD-ROM drives.
func CommandName(op uint8) string {
	if s, ok := commandNames[op]; ok {
		return s
	}
	return "*UNKNOWN*"
}

var commandNames = map[uint8]string{
	0x00: "TEST_UNIT_READY", 0x03: "REQUEST_SENSE", 0x08: "READ_6", 0x0a: "WRITE_6", 0x12: "INQUIRY", 0x15: "MODE_SELECT", 0x16: "RESERVE", 0x17: "RELEASE",
	0x1a: "MODE_SENSE", 0x1b: "START_STOP/LOAD_UNLOAD", 0x1e: "ALLOW_MEDIUM_REMOVAL", 0x25: "READ_CAPACITY_10", 0x28: "READ_10", 0x2a: "WRITE_10",
	0x2b: "SEEK_10/POSITION_TO_ELEMENT", 0x2e: "WRITE_VERIFY_10", 0x2f: "VERIFY_10", 0x35: "SYNCHRONIZE_CACHE", 0x41: "WRITE_SAME_10", 0x42: "UNMAP",
	0x43: "READ_TOC", 0x46: "GET_CONFIGURATION", 0x4a: "GET_EVENT_STATUS_NOTIFICATION", 0x4d: "LOG_SENSE", 0x51: "READ_DISC_INFORMATION",
	0x55: "MODE_SELECT_10", 0x56: "RESERVE_10", 0x57: "RELEASE_10", 0x5a: "MODE_SENSE_10", 0x5e: "PERSISTENT_RESERVE_IN", 0x5f: "PERSISTENT_RESERVE_OUT",
	0x85: "ATA_PASSTHROUGH_16", 0x88: "READ_16", 0x8a: "WRITE_16", 0x8e: "WRITE_VERIFY_16", 0x8f: "VERIFY_16", 0x91: "SPACE_16/SYNCHRONIZE_CACHE_16",
	0x93: "ERASE_16/WRITE_SAME_16", 0x9e: "SERVICE_ACTION_IN_16", 0xa0: "REPORT_LUNS", 0xa1: "BLANK/ATA_PASSTHROUGH_12", 0xa3: "MAINTENANCE_IN",
	0xa8: "READ_12", 0xaa: "WRITE_12", 0xad: "READ_DVD_STRUCTURE", 0xae: "WRITE_VERIFY_12", 0xaf: "VERIFY_12", 0xbd: "MECHANISM_STATUS",
}
