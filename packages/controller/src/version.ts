/** Version of this controller, as agents and operators are told it. */
export const VERSION = "0.1.0";
