package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// Names of the documented error types.
const (
	TypeUnrecoverable      = "UnrecoverableError"
	TypeServiceUnavailable = "ServiceUnavailableError"
	TypeContainerNotFound  = "ContainerNotFoundError"
	TypeProcessNotFound    = "ProcessNotFoundError"
	TypeExecutableNotFound = "ExecutableNotFoundError"
)

// Error is an error as Garden sends it: a JSON object with Type, Message, Handle, ProcessID
// and Binary. Type is empty for errors without a name of their own. Status is the HTTP code:
// 404 for an unknown container or process, 400/413/415 for a body that is not understood, 500
// for the rest.
type Error struct {
	Type      string
	Message   string
	Handle    string
	ProcessID string
	Binary    string

	Status int `json:"-"`
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// StatusCode returns the HTTP code.
func (e *Error) StatusCode() int {
	if e.Status != 0 {
		return e.Status
	}
	if e.Type == TypeContainerNotFound || e.Type == TypeProcessNotFound {
		return http.StatusNotFound
	}
	return http.StatusInternalServerError
}

// ContainerNotFound is the error for an unknown handle.
func ContainerNotFound(handle string) *Error {
	return &Error{Type: TypeContainerNotFound, Message: "unknown handle: " + handle, Handle: handle}
}

// ProcessNotFound is the error for an unknown process.
func ProcessNotFound(id string) *Error {
	return &Error{Type: TypeProcessNotFound, Message: "unknown process: " + id, ProcessID: id}
}

// ExecutableNotFound is the error for a program that is not in the container.
func ExecutableNotFound(binary, message string) *Error {
	return &Error{Type: TypeExecutableNotFound, Message: message, Binary: binary}
}

// BadRequest is the error for a body or query that is not understood.
func BadRequest(format string, a ...any) *Error {
	return &Error{Message: fmt.Sprintf(format, a...), Status: http.StatusBadRequest}
}

// Wrap returns err as an *Error; anything without a type of its own becomes a nameless one.
func Wrap(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		if e.Message == err.Error() {
			return e
		}
		copied := *e
		copied.Message = err.Error()
		return &copied
	}
	return &Error{Message: err.Error()}
}

// Encode returns the JSON body.
func (e *Error) Encode() []byte {
	body, err := json.Marshal(e)
	if err != nil { // strings and nothing else: cannot happen
		return []byte(`{"Type":"","Message":"internal error"}`)
	}
	return body
}
