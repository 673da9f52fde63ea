package store

import "github.com/appc/spec/schema/types"

func labelMap(name, value string) map[types.ACIdentifier]string {
	if value == "" {
		return nil
	}
	return map[types.ACIdentifier]string{types.ACIdentifier(name): value}
}
