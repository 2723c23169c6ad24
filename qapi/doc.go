// Package qapi is the machine-readable interface of the monitor: its types, commands and events, generated from the schema in
// qapi/schema by `go generate ./qapi`, and what is needed to read and write them: JSON as QEMU understands and prints it, validation
// with QEMU's messages, a registry of commands and the answer to query-qmp-schema. It knows no session, no machine and no service.
//
// # The schema
//
// One file per module, named as QEMU's, in the QAPI language without 'if' and 'include': the files are read in QEMU's order, and
// definitions may refer to each other across them. A command, event, type or member that goemu does not implement is left out. Every
// definition is preceded by a comment block that becomes the reference documentation (docs/qmp):
//
//	##
//	# @query-status:
//	#
//	# What the machine as a whole is doing.
//	#
//	# @name: an argument or a member
//	#
//	# Returns: the state
//	#
//	# Since: 0.14
//	##
//	{ 'command': 'query-status', 'returns': 'StatusInfo', 'allow-preconfig': true }
//
// The directive { 'pragma': { 'raw-types': [ 'BlockdevOptions' ] } } makes Go see values of these types as *Object: they are validated
// against the schema, but handed on as they came in.
//
// # From schema to Go
//
//   - enum: a string type and constants, RunStateIoError for 'io-error';
//   - struct: a struct with the base's members first; optional members are pointers, or lists that are nil; members of a struct type are
//     always pointers;
//   - union: a struct with the base's members and one pointer per branch that has a type, named after it;
//   - alternate: a struct with one pointer per alternative;
//   - int is int64, size uint64, number float64, any any (nil, bool, string, int64, uint64, float64, []any, *Object), null Null;
//   - command: a method of the module's interface, argument struct NameArg unless the schema names a type; 'gen': false hands on the
//     raw object unchecked;
//   - event: a struct NameEvent that implements Event.
//
// BindX(registry, service) makes the commands of module X callable. A module whose commands are spread over several services is bound
// to a struct that embeds them.
package qapi

//go:generate go run goemu/internal/tools/qapigen
