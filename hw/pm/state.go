package pm

import "goemu/migration/vmstate"

// SMBusState is the state of the host controller.
var SMBusState = vmstate.Description[SMBus]{Name: "pmsmb", Version: 1, MinVersion: 1, Fields: []vmstate.Field[SMBus]{
	vmstate.Of("smb_stat", func(s *SMBus) *uint8 { return &s.stat }),
	vmstate.Of("smb_ctl", func(s *SMBus) *uint8 { return &s.ctl }),
	vmstate.Of("smb_cmd", func(s *SMBus) *uint8 { return &s.cmd }),
	vmstate.Of("smb_addr", func(s *SMBus) *uint8 { return &s.addr }),
	vmstate.Of("smb_data0", func(s *SMBus) *uint8 { return &s.data0 }),
	vmstate.Of("smb_data1", func(s *SMBus) *uint8 { return &s.data1 }),
	vmstate.Of("smb_index", func(s *SMBus) *uint32 { return &s.index }),
	vmstate.Array("smb_data", func(s *SMBus) []uint8 { return s.data[:] }),
	vmstate.Of("smb_auxctl", func(s *SMBus) *uint8 { return &s.auxctl }),
	vmstate.Of("smb_blkdata", func(s *SMBus) *uint8 { return &s.blkdata }),
	vmstate.Of("i2c_enable", func(s *SMBus) *bool { return &s.i2cEnable }),
	vmstate.Of("op_done", func(s *SMBus) *bool { return &s.opDone }),
	vmstate.Of("in_i2c_block_read", func(s *SMBus) *bool { return &s.inBlockRead }),
	vmstate.Of("start_transaction_on_status_read", func(s *SMBus) *bool { return &s.startOnStatusRead }),
}}
