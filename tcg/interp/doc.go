// Package interp executes blocks of the intermediate representation in Go. It is the engine of hosts without a code generator and
// the reference that code generators are compared with. It knows no guest instruction set; of the guest's state it knows the place
// of the vector and floating-point registers.
package interp
