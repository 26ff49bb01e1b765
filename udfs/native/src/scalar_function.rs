//! The part of a function that is the same for all that always give one type.

/// Makes a function of a struct with a `signature` and, by `user_doc`, a `doc`: its name, how it is called, the type it
/// gives, and what runs it.
macro_rules! scalar_function {
    ($function:ident, $name:expr, $signature:expr, $returns:expr, $invoke:expr) => {
        impl $function {
            pub(crate) fn new() -> Self {
                Self { signature: $signature }
            }
        }

        impl datafusion_expr::ScalarUDFImpl for $function {
            fn name(&self) -> &str {
                $name
            }

            fn signature(&self) -> &Signature {
                &self.signature
            }

            fn return_type(
                &self,
                _: &[arrow::datatypes::DataType],
            ) -> datafusion_common::Result<arrow::datatypes::DataType> {
                Ok($returns)
            }

            fn invoke_with_args(
                &self,
                args: datafusion_expr::ScalarFunctionArgs,
            ) -> datafusion_common::Result<datafusion_expr::ColumnarValue> {
                $invoke(args)
            }

            fn documentation(&self) -> Option<&datafusion_expr::Documentation> {
                self.doc()
            }
        }
    };
}
