// The library that applications import. Its own API is `OrchestraApplication`; the rest comes from the modules below,
// of which `public` declarations are visible and `package` ones are not.

@_exported public import Agents
@_exported public import Avro
@_exported public import HTTPClient
@_exported public import OrchestraCore
@_exported public import Records
@_exported public import Silo
